"""What the generative models can be told, and what was found to work for each dataset. Imports no torch.

A field is an option, the comment beside it its help, the comment line above a group its panel.
"""

from collections.abc import Container
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, NonNegativeFloat, NonNegativeInt, PositiveInt
from pydantic.dataclasses import dataclass

from rlgen.core.errors import UserError
from rlgen.core.settings import Fraction, OptionalDuration, Rate


def _in_fours(size: int) -> int:
    if size % 4:
        raise ValueError("must be a multiple of 4: the networks halve an image twice")
    return size


def _odd(side: int) -> int:
    if side % 2 == 0:
        raise ValueError("must be odd: a kernel has a centre")
    return side


Size = Annotated[int, Field(ge=8, le=64), AfterValidator(_in_fours)]
Odd = Annotated[int, Field(ge=1), AfterValidator(_odd)]
Decay = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True)
class Model:
    """What every model can be told."""

    # Learning
    lr: Rate = 1e-3  # step size of Adam
    batch: PositiveInt = 128  # images per gradient step
    ema: Decay = 0.999  # share of its past the averaged network, which is scored and makes the pictures, keeps per step
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # of multiplications in training; auto takes the faster
    compile: bool = False  # fuse operations in training by torch.compile, for accelerators; starts half a minute later
    # Data
    data: str | None = None  # folder that holds the dataset, such as MNIST/raw; none looks in the usual places
    size: Size | None = None  # scale images to SIZE x SIZE pixels; none leaves them as they are
    skip_bad: bool = False  # leave out pictures of a folder that cannot be read


@dataclass(frozen=True)
class Annealed(Model):
    """What models of one loss share."""

    # Learning
    lr_anneal: OptionalDuration = 0  # images over which half a cosine takes the learning rate to a hundredth; 0: none


@dataclass(frozen=True)
class Likely(Annealed):
    """What models that say how probable an image is share."""

    # Likelihood
    likelihood: Literal["bernoulli", "logistic", "mixture", "softmax"] = "bernoulli"  # of two levels; others of 256
    binarise: Literal["dynamic", "static", "none"] = "dynamic"  # before a bernoulli: each time anew, once, or not
    components: PositiveInt = 10  # logistics in a mixture

    def check(self, given: Container[str]) -> None:
        """Raise UserError where what is typed belongs to another likelihood."""
        if "binarise" in given and self.likelihood != "bernoulli":
            raise UserError(
                f"--binarise {self.binarise}: --likelihood {self.likelihood} is of grey levels: leave it out,"
                " or take --likelihood bernoulli"
            )
        if "components" in given and self.likelihood != "mixture":
            raise UserError(f"--components {self.components}: only --likelihood mixture has them")


@dataclass(frozen=True)
class Coder(Annealed):
    """What autoencoders of both kinds share."""

    # Network
    network: Literal["dense", "convolutional"] = "dense"  # fully connected, or strided convolutions
    latent: PositiveInt = 32  # numbers in the code of an image; 2 can be drawn as a plane
    width: PositiveInt | None = None  # features of a hidden layer (none: 512), or channels at half the size (none: 32)
    depth: NonNegativeInt = 2  # hidden layers, none being linear; or 3x3 convolutions at a quarter of the images' size


@dataclass(frozen=True)
class Autoencoder(Coder):
    """An autoencoder: plain, denoising or k-sparse."""

    # Code
    noise_std: NonNegativeFloat = 0.0  # deviation of noise added to what is encoded, 0 to 1; the target stays clean
    mask_fraction: Fraction = 0.0  # share of the pixels made black in what is encoded; the target stays clean
    k_sparse: NonNegativeInt = 0  # largest numbers of a code that are kept, the others being 0; 0 keeps all

    def check(self, given: Container[str]) -> None:
        """Raise UserError where settings contradict each other."""
        if self.k_sparse > self.latent:
            raise UserError(
                f"--k-sparse {self.k_sparse}: a code of {self.latent} has no more: raise --latent, to 1000 say"
            )


@dataclass(frozen=True)
class VAE(Coder, Likely):
    """A variational autoencoder."""

    # Objective
    beta: NonNegativeFloat = 1.0  # weight of the KL divergence; the evaluation reports the bound at 1 in any case
    kl_warmup: OptionalDuration = 0  # images over which that weight rises from 0
    free_bits: NonNegativeFloat = 0.0  # nats of KL divergence each number of the code has for free
    conditional: bool = False  # give encoder and decoder the label, to choose what is made


@dataclass(frozen=True)
class VQVAE(Likely):
    """An autoencoder whose code is a grid of words, and a PixelCNN that says how probable a grid is."""

    # Learning
    commitment: NonNegativeFloat = 0.25  # weight of the distance of what is encoded from its word
    conditional: bool = False  # give the prior the label, to choose what is made
    # Network
    width: PositiveInt = 32  # channels at half of the images' size, twice as many at a quarter
    depth: NonNegativeInt = 1  # 3x3 convolutions at a quarter of the images' size
    # Codebook
    codebook_size: Annotated[int, Field(ge=2)] = 128  # codes in the codebook, one of them for each 4x4 pixels
    code_dim: PositiveInt = 16  # dimensions of a code
    codebook_decay: Decay = 0.99  # EMA decay of the codes per step
    # Prior
    prior_width: PositiveInt = 64  # features of a place of the code in the PixelCNN
    prior_blocks: PositiveInt = 4  # residual blocks of it


@dataclass(frozen=True)
class GAN(Model):
    """A generative adversarial network."""

    # Learning
    lr: Rate = 1e-3  # step size of the generator's Adam
    discriminator_lr: Rate = 1e-3  # step size of the discriminator's, which may be larger (Heusel 2017)
    beta1: Decay = 0.5  # share of its past Adam's mean gradient keeps: little, for the other player moves
    batch: PositiveInt = 32  # images per gradient step
    ema: Decay = 0.999  # share of its past the averaged generator, which makes the samples, keeps per step
    conditional: bool = False  # give both networks the label, to choose what is made (Miyato & Koyama 2018)
    precision: Literal["auto", "float32", "bfloat16"] = "float32"  # of convolutions; auto takes what is faster
    # Game
    loss: Literal["non-saturating", "lsgan", "hinge", "wgan"] = "non-saturating"  # what the two networks play for
    critic_steps: PositiveInt = 1  # steps of the discriminator, each on images of its own, per step of the generator
    spectral_norm: bool = True  # hold the spectral norm of the discriminator's layers at 1 (Miyato 2018)
    gradient_penalty_weight: NonNegativeFloat = 0.0  # of (|gradient| - 1)^2 between real and fake (Gulrajani 2017)
    r1_weight: NonNegativeFloat = 0.0  # weight of |gradient|^2 / 2 at real images (Mescheder 2018)
    r1_interval: PositiveInt = 16  # steps between two R1 penalties, each weighing so much more (Karras 2020)
    # Little data
    augment: Literal["none", "diffaugment", "adaptive"] = "none"  # change what the discriminator sees
    augment_images: PositiveInt = 100_000  # images in which adaptive could go from no changes to all
    # Network
    architecture: Literal["dcgan", "residual"] = "dcgan"  # strided convolutions, or residual blocks
    latent: PositiveInt = 64  # numbers an image is made from; 2 can be drawn as a plane
    width: PositiveInt = 32  # channels of the generator at half of the images' size, twice as many at a quarter
    discriminator_width: PositiveInt = 24  # channels of the discriminator there; they double with each halving

    def check(self, given: Container[str]) -> None:
        """Raise UserError where settings contradict each other."""
        if self.loss == "wgan" and not self.spectral_norm and not self.gradient_penalty_weight:
            raise UserError(
                "--loss wgan: nothing bounds the critic: --gradient-penalty-weight 10 or --spectral-norm does"
            )
        if self.loss == "wgan" and self.augment == "adaptive":
            raise UserError("--augment adaptive: a Wasserstein critic has no sign to adapt to: take diffaugment")


@dataclass(frozen=True)
class Autoregressive(Likely):
    """What models that take one pixel after the other share."""

    # Learning
    lr: Rate = 2e-3  # step size of Adam
    batch: PositiveInt = 32  # images per gradient step
    conditional: bool = False  # give the network the label, to choose what is made
    # Network
    width: PositiveInt = 16  # features of a pixel
    first_kernel: Odd = 7  # side of the masked convolution of the image
    head_width: PositiveInt = 32  # features between the last layer and the prediction
    position_bias: bool = True  # learn what is usual at each place of the image


@dataclass(frozen=True)
class PixelCNN(Autoregressive):
    """An autoregressive model of masked convolutions."""

    # Network
    blocks: PositiveInt = 3  # residual blocks at each resolution
    levels: PositiveInt = 3  # resolutions, each half of the one before; 1 is the network of the paper
    width_multiplier: PositiveInt = 3  # how many times as many features each resolution has as the one before
    kernel: Odd = 3  # side of the masked convolutions in the blocks
    bottleneck: bool = False  # convolve half of the features, between two 1x1 convolutions, as in the paper
    gated: bool = False  # two stacks of gated convolutions, without a blind spot, for one masked stack

    def check(self, given: Container[str]) -> None:
        """Raise UserError where settings contradict each other."""
        super().check(given)
        if self.gated and self.bottleneck:
            raise UserError("--bottleneck: gated blocks have none; leave it or --gated out")


@dataclass(frozen=True)
class PixelRNN(Autoregressive):
    """An autoregressive model of recurrent layers."""

    # Network
    layers: PositiveInt = 3  # recurrent layers, each added to what the one before has to say
    scan: Literal["row", "diagonal"] = "row"  # the Row LSTM, or the Diagonal BiLSTM, which misses less


def _plan(budget: int, log_every: int, eval_every: int, save_every: int) -> dict[str, int]:
    return {"budget": budget, "log_every": log_every, "eval_every": eval_every, "save_every": save_every}


def _annealed(budget: int, *every: int) -> dict[str, int]:
    return {"lr_anneal": budget, **_plan(budget, *every)}


CODES = _annealed(1_500_000, 20_000, 300_000, 300_000)
BOUNDS = {"kl_warmup": 300_000, **_annealed(4_000_000, 25_000, 800_000, 250_000)}
COLOURS = {"network": "convolutional", "latent": 128}
WORDS = _annealed(300_000, 10_000, 100_000, 100_000)
GAMES = _plan(300_000, 5_000, 25_000, 25_000)
PIXELS = (5_000, 100_000, 25_000)
GREYS = {"likelihood": "mixture"}
TWO_STACKS = {"width": 12, "blocks": 2}  # cost half as much again as one of 16 and 3
TUNED: dict[str, dict[str, dict[str, Any]]] = {  # algorithm -> dataset, or dataset:preset -> settings, the Plan's too
    "ae": {
        "mnist": CODES,
        "fashion-mnist": CODES,
        "cifar10": {**COLOURS, **_annealed(500_000, 10_000, 100_000, 100_000)},
        "digits": _annealed(150_000, 5_000, 50_000, 50_000),
    },
    "vae": {
        "mnist": BOUNDS,
        "fashion-mnist": BOUNDS,
        "cifar10": {
            "likelihood": "logistic", "kl_warmup": 50_000, **COLOURS, **_annealed(500_000, 10_000, 100_000, 100_000),
        },
        "digits": {"kl_warmup": 30_000, **_annealed(300_000, 5_000, 50_000, 50_000)},
        "folder*": {"likelihood": "logistic"},
    },
    "vqvae": {
        "mnist": {"lr": 2e-3, "codebook_size": 8, "prior_blocks": 6, **WORDS},  # more codes would encode noise
        "fashion-mnist": {**GREYS, **WORDS},
        "cifar10": {"codebook_size": 256, **GREYS, **WORDS},
        "digits": {"codebook_size": 32, **_annealed(150_000, 5_000, 50_000, 50_000)},
        "folder*": GREYS,
    },
    "gan": {
        "mnist": GAMES,
        "fashion-mnist": GAMES,
        "cifar10": _plan(1_000_000, 5_000, 50_000, 50_000),
        "digits": {"size": 28, **_plan(150_000, 5_000, 25_000, 25_000)},
    },
    "pixelcnn": {
        "mnist": _annealed(240_000, *PIXELS),
        "mnist:long": _annealed(1_000_000, *PIXELS),
        "fashion-mnist": {**GREYS, **_annealed(500_000, *PIXELS)},
        "cifar10": {"width": 24, **GREYS, **_annealed(300_000, *PIXELS)},
        "digits": {"levels": 2, **GREYS, **_annealed(150_000, *PIXELS)},
        "folder*": GREYS,
    },
    "gated-pixelcnn": {
        "mnist": {**TWO_STACKS, **_annealed(150_000, *PIXELS)},
        "mnist:long": {**TWO_STACKS, **_annealed(600_000, *PIXELS)},
        "fashion-mnist": {**TWO_STACKS, **_annealed(300_000, *PIXELS)},
    },
    "pixelrnn": {
        "mnist": _annealed(60_000, *PIXELS),
        "fashion-mnist": {**GREYS, **_annealed(300_000, *PIXELS)},
        "cifar10": {"width": 24, **GREYS, **_annealed(150_000, *PIXELS)},
        "digits": {**GREYS, **_annealed(150_000, *PIXELS)},
        "folder*": GREYS,
    },
}  # fmt: skip

EXPECTED: dict[str, dict[str, str]] = {  # algorithm -> dataset -> what the tuned settings reached when measured
    "ae": {"mnist": "mse 0.0044 to 0.0045 in 3 seeds, PCA 0.0152; 2 min on two cores"},
    "vae": {"mnist": "-ELBO 91.8 to 92.1 nats, IWAE-500 87.7 to 87.9 in 3 seeds; 7 to 9 min on two cores"},
    "vqvae": {"mnist": "-ELBO 100.0 to 102.4 nats in 2 seeds; 9 min on one core"},
    "gan": {"mnist": "all ten digits, lenet_fid 5.1 to 5.4 (real images: 1.8) in 3 of 3 seeds; 7 min on two cores"},
    "lsgan": {"mnist": "all ten digits, lenet_fid 3.6 (real images: 1.8) in 1 seed; 8 min on one core"},
    "hinge": {"mnist": "all ten digits, lenet_fid 5.9 (real images: 1.8) in 1 seed; 11 min on one core"},
    "wgan-gp": {"mnist": "all ten digits, lenet_fid 11.8 (real images: 1.8) in 1 seed; 10 min on one core"},
    "pixelcnn": {
        "mnist": "82.3 to 82.4 nats in 3 seeds; 11 min on two cores",
        "mnist:long": "81.2 nats in 1 seed; 83 min on one core",
    },
    "gated-pixelcnn": {"mnist": "83.3 nats in 1 seed; 22 min on one core"},
    "pixelrnn": {"mnist": "89.4 nats in 1 seed; 9 min on one core"},
}
