"""Tuned presets of the generative models, by algorithm and dataset. Imports no torch."""

from typing import Any


def _plan(budget: int, log_every: int, eval_every: int, save_every: int) -> dict[str, int]:
    return {"budget": budget, "log_every": log_every, "eval_every": eval_every, "save_every": save_every}


def _annealed(budget: int, *every: int) -> dict[str, Any]:
    return {"schedule": "cosine", "lr_steps": budget, **_plan(budget, *every)}


AUTOENCODER = _annealed(1_500_000, 20_000, 300_000, 300_000)
VAE = {"kl_warmup": 300_000, **_annealed(4_000_000, 25_000, 800_000, 250_000)}
AE_COLOUR = {"network": "convolutional", "latent": 128, **_annealed(500_000, 10_000, 100_000, 100_000)}
VAE_COLOUR = {"likelihood": "logistic", "kl_warmup": 50_000, **AE_COLOUR}
VQVAE = _annealed(300_000, 10_000, 100_000, 100_000)
GAN = _plan(300_000, 5_000, 25_000, 25_000)
POINTS = {  # R1 at every step, as in the convergence proofs of Mescheder et al. 2018
    "architecture": "dense", "latent": 2, "width": 128, "discriminator_width": 128, "batch": 256, "beta2": 0.9,
    "ema": 0.99, "spectral_norm": False, "r1_weight": 0.1, "r1_interval": 1,
    **_annealed(1_500_000, 15_000, 75_000, 250_000),
}  # fmt: skip
POINTS_WGAN = {"r1_weight": 0.0, "gradient_penalty_weight": 1.0, "critic_steps": 1}
GAN_COLOUR = _plan(1_000_000, 5_000, 50_000, 50_000)
PIXEL_INTERVALS = (5_000, 100_000, 25_000)
GREY = {"likelihood": "mixture"}
GATED = {"width": 12, "blocks": 2}  # two stacks; 1.5 times the cost of one stack of width 16 and 3 blocks
TUNED: dict[str, dict[str, dict[str, Any]]] = {  # algorithm -> dataset[:preset] -> settings
    "ae": {
        "mnist": AUTOENCODER,
        "fashion-mnist": AUTOENCODER,
        "cifar10": AE_COLOUR,
        "objects": AE_COLOUR,
        "digits": _annealed(150_000, 5_000, 50_000, 50_000),
    },
    "vae": {
        "mnist": VAE,
        "fashion-mnist": VAE,
        "cifar10": VAE_COLOUR,
        "objects": VAE_COLOUR,
        "digits": {"kl_warmup": 30_000, **_annealed(300_000, 5_000, 50_000, 50_000)},
        "folder*": {"likelihood": "logistic"},
    },
    "vqvae": {
        "mnist": {"lr": 2e-3, "codebook_size": 8, "prior_blocks": 6, **VQVAE},  # more codes encode noise
        "fashion-mnist": {**GREY, **VQVAE},
        "cifar10": {"codebook_size": 256, **GREY, **VQVAE},
        "objects": {"codebook_size": 256, **GREY, **VQVAE},
        "digits": {"codebook_size": 32, **_annealed(150_000, 5_000, 50_000, 50_000)},
        "folder*": GREY,
    },
    "gan": {
        "mnist": GAN,
        "fashion-mnist": GAN,
        "cifar10": GAN_COLOUR,
        "objects": GAN_COLOUR,
        "digits": {"size": 28, **_plan(150_000, 5_000, 25_000, 25_000)},
        "ring": POINTS,
        "grid": POINTS,
        "spiral": POINTS,
    },
    "wgan-gp": {"ring": POINTS_WGAN, "grid": POINTS_WGAN, "spiral": POINTS_WGAN},
    "pixelcnn": {
        "mnist": _annealed(240_000, *PIXEL_INTERVALS),
        "mnist:long": _annealed(1_000_000, *PIXEL_INTERVALS),
        "fashion-mnist": {**GREY, **_annealed(500_000, *PIXEL_INTERVALS)},
        "cifar10": {"width": 24, **GREY, **_annealed(300_000, *PIXEL_INTERVALS)},
        "objects": {"width": 24, **GREY, **_annealed(300_000, *PIXEL_INTERVALS)},
        "digits": {"levels": 2, **GREY, **_annealed(150_000, *PIXEL_INTERVALS)},
        "folder*": GREY,
    },
    "gated-pixelcnn": {
        "mnist": {**GATED, **_annealed(150_000, *PIXEL_INTERVALS)},
        "mnist:long": {**GATED, **_annealed(600_000, *PIXEL_INTERVALS)},
        "fashion-mnist": {**GATED, **_annealed(300_000, *PIXEL_INTERVALS)},
    },
    "pixelrnn": {
        "mnist": _annealed(60_000, *PIXEL_INTERVALS),
        "fashion-mnist": {**GREY, **_annealed(300_000, *PIXEL_INTERVALS)},
        "cifar10": {"width": 24, **GREY, **_annealed(150_000, *PIXEL_INTERVALS)},
        "objects": {"width": 24, **GREY, **_annealed(150_000, *PIXEL_INTERVALS)},
        "digits": {**GREY, **_annealed(150_000, *PIXEL_INTERVALS)},
        "folder*": GREY,
    },
}  # fmt: skip
