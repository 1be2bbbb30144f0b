"""What the generative models can be told, and what was found to work for each dataset. Imports no torch.

A field is an option, the comment beside it its help, the comment line above a group its panel.
"""

from collections.abc import Container
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, NonNegativeFloat, NonNegativeInt, PositiveInt
from pydantic.dataclasses import dataclass

from rlgen.core.errors import UserError
from rlgen.core.settings import Fraction, Rate


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
LikelihoodName = Literal["bernoulli", "logistic", "mixture", "softmax"]
Binarise = Literal["dynamic", "static", "none"]
Precision = Literal["auto", "float32", "bfloat16"]
Decay = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True)
class GAN:
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
    critics: PositiveInt = 1  # steps of the discriminator, each on images of its own, per step of the generator
    spectral: bool = True  # hold the spectral norm of the discriminator's layers at 1 (Miyato 2018)
    gradient_penalty: NonNegativeFloat = 0.0  # weight of (|gradient| - 1)^2 between real and fake (Gulrajani 2017)
    r1: NonNegativeFloat = 0.0  # weight of |gradient|^2 / 2 at real images (Mescheder 2018)
    r1_every: PositiveInt = 16  # steps between two R1 penalties, each weighing so much more (Karras 2020)
    # Little data
    augment: Literal["none", "diffaugment", "adaptive"] = "none"  # change what the discriminator sees
    augment_images: PositiveInt = 100_000  # images in which adaptive could go from no changes to all
    # Network
    architecture: Literal["dcgan", "residual"] = "dcgan"  # strided convolutions, or residual blocks
    latent: PositiveInt = 64  # numbers an image is made from
    width: PositiveInt = 32  # channels of the generator at half of the images' size, twice as many at a quarter
    discriminator_width: PositiveInt = 24  # channels of the discriminator there; they double with each halving
    # Data
    data: str | None = None  # folder that holds the dataset, such as MNIST/raw; none looks in the usual places
    size: Size | None = None  # scale images to SIZE x SIZE pixels; none leaves them as they are
    skip_bad: bool = False  # leave out pictures of a folder that cannot be read

    def check(self, given: Container[str]) -> None:
        """Raise UserError where settings contradict each other."""
        if self.loss == "wgan" and not self.spectral and not self.gradient_penalty:
            raise UserError("--loss wgan: nothing bounds the critic: give --gradient-penalty 10, or --spectral")
        if self.loss == "wgan" and self.augment == "adaptive":
            raise UserError("--augment adaptive: a Wasserstein critic has no sign to adapt to: take diffaugment")


def check_likelihood(config: Any, given: Container[str]) -> None:
    """Raise UserError where what is typed belongs to another likelihood."""
    if "binarise" in given and config.likelihood != "bernoulli":
        raise UserError(
            f"--binarise {config.binarise}: --likelihood {config.likelihood} is of grey levels: leave it out"
        )
    if "components" in given and config.likelihood != "mixture":
        raise UserError(f"--components {config.components}: only --likelihood mixture has them")


@dataclass(frozen=True)
class Coder:
    """What autoencoders of both kinds share."""

    # Learning
    lr: Rate = 1e-3  # step size of Adam
    anneal: NonNegativeInt = 0  # images over which the step size falls to a hundredth, in half a cosine; 0 keeps it
    batch: PositiveInt = 128  # images per gradient step
    ema: Decay = 0.999  # share of its past the averaged network, which is scored and makes the pictures, keeps per step
    precision: Precision = "auto"  # of the multiplications in training; auto takes bfloat16 where that is faster
    # Network
    network: Literal["dense", "convolutional"] = "dense"  # fully connected, or strided convolutions
    latent: PositiveInt = 32  # numbers in the code of an image; 2 can be drawn as a plane
    width: PositiveInt | None = (
        None  # features of a hidden layer, or channels at half of the images' size; none: 512, 32
    )
    depth: NonNegativeInt = 2  # hidden layers, none being linear; or 3x3 convolutions at a quarter of the images' size
    # Data
    data: str | None = None  # folder that holds the dataset, such as MNIST/raw; none looks in the usual places
    size: Size | None = None  # scale images to SIZE x SIZE pixels; none leaves them as they are
    skip_bad: bool = False  # leave out pictures of a folder that cannot be read


@dataclass(frozen=True)
class Autoencoder(Coder):
    """An autoencoder: plain, denoising or k-sparse."""

    # Code
    gaussian: NonNegativeFloat = (
        0.0  # deviation of the noise added to what is encoded, for 0 to 1; the target stays clean
    )
    masked: Fraction = 0.0  # share of the pixels made black in what is encoded; the target stays clean
    sparse: NonNegativeInt = 0  # largest numbers of a code that are kept, the others being 0; 0 keeps all

    def check(self, given: Container[str]) -> None:
        """Raise UserError where settings contradict each other."""
        if self.sparse > self.latent:
            raise UserError(f"--sparse {self.sparse}: a code of {self.latent} has no more: raise --latent, to 1000 say")


@dataclass(frozen=True)
class VAE(Coder):
    """A variational autoencoder."""

    # Objective
    beta: NonNegativeFloat = 1.0  # weight of the KL divergence; the evaluation reports the bound at 1 in any case
    warmup: NonNegativeInt = 0  # images over which that weight rises from 0
    free_bits: NonNegativeFloat = 0.0  # nats of KL divergence each number of the code has for free
    conditional: bool = False  # give encoder and decoder the label, to choose what is made
    # Likelihood
    likelihood: LikelihoodName = (
        "bernoulli"  # of black and white; of 256 levels by logistics, one or a mixture, or softmax
    )
    binarise: Binarise = "dynamic"  # before a bernoulli: anew each time, once for ever (static), or not
    components: PositiveInt = 10  # logistics in a mixture

    def check(self, given: Container[str]) -> None:
        """Raise UserError where settings contradict each other."""
        check_likelihood(self, given)


@dataclass(frozen=True)
class Autoregressive:
    """What models that take one pixel after the other share."""

    # Learning
    lr: Rate = 2e-3  # step size of Adam
    anneal: NonNegativeInt = 0  # images over which the step size falls to a hundredth, in half a cosine; 0 keeps it
    batch: PositiveInt = 32  # images per gradient step
    ema: Decay = 0.999  # share of its past the averaged network, which is scored and makes the samples, keeps per step
    conditional: bool = False  # give the network the label, to choose what is made
    precision: Precision = "auto"  # of the multiplications in training; auto takes bfloat16 where that is faster
    # Likelihood
    likelihood: LikelihoodName = "bernoulli"  # of black and white, or of 256 levels: logistic, mixture, softmax
    binarise: Binarise = "dynamic"  # before a bernoulli: anew each time, once for ever (static), or not
    components: PositiveInt = 10  # logistics in a mixture
    # Network
    width: PositiveInt = 16  # features of a pixel
    first_kernel: Odd = 7  # side of the masked convolution of the image
    head: PositiveInt = 32  # features between the last layer and the prediction
    place: bool = True  # learn what is usual at each place of the image
    # Data
    data: str | None = None  # folder that holds the dataset, such as MNIST/raw; none looks in the usual places
    size: Size | None = None  # scale images to SIZE x SIZE pixels; none leaves them as they are
    skip_bad: bool = False  # leave out pictures of a folder that cannot be read

    def check(self, given: Container[str]) -> None:
        """Raise UserError where settings contradict each other."""
        check_likelihood(self, given)


@dataclass(frozen=True)
class PixelCNN(Autoregressive):
    """An autoregressive model of masked convolutions."""

    # Network
    blocks: PositiveInt = 3  # residual blocks at each resolution
    levels: PositiveInt = 3  # resolutions, each half of the one before; 1 is the network of the paper
    growth: PositiveInt = 3  # how many times as many features each resolution has as the one before
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


PIXELS = {"log_every": 5_000, "eval_every": 100_000, "save_every": 25_000}
TUNED: dict[str, dict[str, dict[str, Any]]] = {  # algorithm -> dataset -> settings, those of the Plan included
    "ae": {
        "mnist": {
            "budget": 1_500_000,
            "anneal": 1_500_000,
            "log_every": 20_000,
            "eval_every": 300_000,
            "save_every": 300_000,
        },
        "fashion-mnist": {
            "budget": 1_500_000,
            "anneal": 1_500_000,
            "log_every": 20_000,
            "eval_every": 300_000,
            "save_every": 300_000,
        },
        "cifar10": {
            "network": "convolutional",
            "latent": 128,
            "budget": 500_000,
            "anneal": 500_000,
            "log_every": 10_000,
            "eval_every": 100_000,
            "save_every": 100_000,
        },
        "digits": {
            "budget": 150_000,
            "anneal": 150_000,
            "log_every": 5_000,
            "eval_every": 50_000,
            "save_every": 50_000,
        },
    },
    "vae": {
        "mnist": {
            "budget": 4_500_000,
            "anneal": 4_500_000,
            "warmup": 300_000,
            "log_every": 30_000,
            "eval_every": 900_000,
            "save_every": 300_000,
        },
        "fashion-mnist": {
            "budget": 4_500_000,
            "anneal": 4_500_000,
            "warmup": 300_000,
            "log_every": 30_000,
            "eval_every": 900_000,
            "save_every": 300_000,
        },
        "cifar10": {
            "likelihood": "logistic",
            "network": "convolutional",
            "latent": 128,
            "budget": 500_000,
            "anneal": 500_000,
            "warmup": 50_000,
            "log_every": 10_000,
            "eval_every": 100_000,
            "save_every": 100_000,
        },
        "digits": {
            "budget": 300_000,
            "anneal": 300_000,
            "warmup": 30_000,
            "log_every": 5_000,
            "eval_every": 50_000,
            "save_every": 50_000,
        },
    },
    "gan": {
        "mnist": {"budget": 300_000, "log_every": 5_000, "eval_every": 25_000, "save_every": 25_000},
        "fashion-mnist": {"budget": 300_000, "log_every": 5_000, "eval_every": 25_000, "save_every": 25_000},
        "cifar10": {"budget": 1_000_000, "log_every": 5_000, "eval_every": 50_000, "save_every": 50_000},
        "digits": {"size": 28, "budget": 150_000, "log_every": 5_000, "eval_every": 25_000, "save_every": 25_000},
    },
    "pixelcnn": {
        "mnist": {"budget": 500_000, "anneal": 500_000, **PIXELS},
        "fashion-mnist": {"budget": 500_000, "anneal": 500_000, "likelihood": "mixture", **PIXELS},
        "cifar10": {"budget": 300_000, "anneal": 300_000, "likelihood": "mixture", "width": 24, **PIXELS},
        "digits": {"budget": 150_000, "anneal": 150_000, "levels": 2, "likelihood": "mixture", **PIXELS},
    },
    "pixelrnn": {
        "mnist": {"budget": 300_000, "anneal": 300_000, **PIXELS},
        "fashion-mnist": {"budget": 300_000, "anneal": 300_000, "likelihood": "mixture", **PIXELS},
        "cifar10": {"budget": 150_000, "anneal": 150_000, "likelihood": "mixture", "width": 24, **PIXELS},
        "digits": {"budget": 150_000, "anneal": 150_000, "likelihood": "mixture", **PIXELS},
    },
}

EXPECTED: dict[str, dict[str, str]] = {  # algorithm -> dataset -> what the tuned settings reached when measured
    "gan": {"mnist": "all ten digits, lenet_fid 4.4 to 5.5 (real images: 1.3) in 3 of 3 seeds; 8 min on two cores"},
}
