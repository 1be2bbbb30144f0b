import pytest
import torch

from rlgen.catalog import find
from rlgen.core.config import resolve
from rlgen.core.settings import Setup

PIXELS = {"width": 6, "head_width": 6, "first_kernel": 3, "levels": 1, "blocks": 2}
TINY = {
    "ae": {"width": 8, "depth": 1, "latent": 3},
    "vae": {"width": 8, "depth": 1, "latent": 3},
    "vqvae": {"width": 4, "codebook_size": 5, "code_dim": 3, "prior_width": 4, "prior_blocks": 1},
    "gan": {"width": 4, "discriminator_width": 4, "latent": 2},
    "wgan-gp": {"width": 4, "discriminator_width": 4, "latent": 2},
    "pixelcnn": PIXELS,
    "gated-pixelcnn": PIXELS,
    "pixelrnn": {"width": 6, "head_width": 6, "first_kernel": 3, "layers": 1},
}


@pytest.fixture(scope="session")
def model():
    """Small models of digits, built once each; every weight is perturbed, as some are initially 0."""
    built = {}

    def build(name, steps=0, **given):
        key = name, steps, *sorted(given.items())
        if key not in built:
            entry = find(name)
            config = resolve(entry.config, entry.preset, {**TINY[name], "batch": 8, **given})
            made = built[key] = entry.algorithm("digits", config, Setup(threads=1))
            for _ in range(steps):
                made.step()
            stream = torch.Generator().manual_seed(0)
            for network in (getattr(made, n) for n in ("ema", "discriminator") if hasattr(made, n)):
                for p in network.parameters():
                    p.data += 0.1 * torch.randn(p.shape, generator=stream)
        return built[key]

    return build
