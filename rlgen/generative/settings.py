"""What the generative models can be told, and what was found to work for each dataset. Imports no torch.

A field is an option, the comment beside it its help, the comment line above a group its panel.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt
from pydantic.dataclasses import dataclass

from rlgen.core.settings import Rate


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
    batch: PositiveInt = 32  # images per gradient step
    ema: Decay = 0.999  # share of its past the averaged generator, which makes the samples, keeps per step
    conditional: bool = False  # give both networks the label, to choose what is made (Miyato & Koyama 2018)
    # Network
    latent: PositiveInt = 64  # numbers an image is made from
    width: PositiveInt = 32  # channels of the generator at half of the images' size, twice as many at a quarter
    discriminator_width: PositiveInt = 24  # channels of the discriminator there; they double with each halving
    # Data
    data: str | None = None  # folder that holds the dataset, such as MNIST/raw; none looks in the usual places
    size: Size | None = None  # scale images to SIZE x SIZE pixels; none leaves them as they are


@dataclass(frozen=True)
class PixelCNN:
    """An autoregressive model of masked convolutions."""

    # Learning
    lr: Rate = 2e-3  # step size of Adam
    anneal: NonNegativeInt = 0  # images over which the step size falls to a hundredth, in half a cosine; 0 keeps it
    batch: PositiveInt = 32  # images per gradient step
    ema: Decay = 0.999  # share of its past the averaged network, which is scored and makes the samples, keeps per step
    conditional: bool = False  # give the network the label, to choose what is made
    precision: Precision = "auto"  # of the multiplications in training; auto takes bfloat16 where that is faster
    # Likelihood
    likelihood: LikelihoodName = "bernoulli"  # of black and white; of 256 levels by logistics, one or a mixture, or softmax
    binarise: Binarise = "dynamic"  # before a bernoulli: anew each time, once for ever (static), or not
    components: PositiveInt = 10  # logistics in a mixture
    # Network
    width: PositiveInt = 16  # features of a pixel
    blocks: PositiveInt = 3  # residual blocks at each resolution
    levels: PositiveInt = 3  # resolutions, each half of the one before; 1 is the network of the paper
    growth: PositiveInt = 3  # how many times as many features each resolution has as the one before
    kernel: Odd = 3  # side of the masked convolutions in the blocks
    first_kernel: Odd = 7  # side of the masked convolution of the image
    head: PositiveInt = 32  # features between the last block and the prediction
    bottleneck: bool = False  # convolve half of the features, between two 1x1 convolutions, as in the paper
    place: bool = True  # learn what is usual at each place of the image
    gated: bool = False  # two stacks of gated convolutions, without a blind spot, for one masked stack
    # Data
    data: str | None = None  # folder that holds the dataset, such as MNIST/raw; none looks in the usual places
    size: Size | None = None  # scale images to SIZE x SIZE pixels; none leaves them as they are


AUTOREGRESSIVE = {"log_every": 5_000, "eval_every": 100_000, "save_every": 25_000}
TUNED: dict[str, dict[str, dict[str, Any]]] = {  # algorithm -> dataset -> settings, those of the Plan included
    "gan": {
        "mnist": {"budget": 300_000, "log_every": 5_000, "eval_every": 25_000, "save_every": 25_000},
        "fashion-mnist": {"budget": 300_000, "log_every": 5_000, "eval_every": 25_000, "save_every": 25_000},
        "digits": {"size": 28, "budget": 150_000, "log_every": 5_000, "eval_every": 25_000, "save_every": 25_000},
    },
    "pixelcnn": {
        "mnist": {"budget": 600_000, "anneal": 600_000, **AUTOREGRESSIVE},
        "fashion-mnist": {"budget": 600_000, "anneal": 600_000, "likelihood": "mixture", **AUTOREGRESSIVE},
        "digits": {"budget": 150_000, "anneal": 150_000, "levels": 2, "likelihood": "mixture", **AUTOREGRESSIVE},
    },
}

EXPECTED: dict[str, dict[str, str]] = {  # algorithm -> dataset -> what the tuned settings reached when measured
    "gan": {"mnist": "all ten digits, lenet_fid 4.4 to 5.5 (real images: 1.3) in 3 of 3 seeds; 8 min on two cores"},
}
