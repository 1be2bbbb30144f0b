"""What the generative models can be told, and what was found to work for each dataset. Imports no torch.

A field is an option, the comment beside it its help, the comment line above a group its panel.
"""

from collections.abc import Container
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveInt
from pydantic.dataclasses import dataclass

from rlgen.core.errors import UserError
from rlgen.core.settings import Rate


def _in_fours(size: int) -> int:
    if size % 4:
        raise ValueError("must be a multiple of 4: the networks halve an image twice")
    return size


Size = Annotated[int, Field(ge=8, le=64), AfterValidator(_in_fours)]
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


TUNED: dict[str, dict[str, dict[str, Any]]] = {  # algorithm -> dataset -> settings, those of the Plan included
    "gan": {
        "mnist": {"budget": 300_000, "log_every": 5_000, "eval_every": 25_000, "save_every": 25_000},
        "fashion-mnist": {"budget": 300_000, "log_every": 5_000, "eval_every": 25_000, "save_every": 25_000},
        "cifar10": {"budget": 1_000_000, "log_every": 5_000, "eval_every": 50_000, "save_every": 50_000},
        "digits": {"size": 28, "budget": 150_000, "log_every": 5_000, "eval_every": 25_000, "save_every": 25_000},
    },
}

EXPECTED: dict[str, dict[str, str]] = {  # algorithm -> dataset -> what the tuned settings reached when measured
    "gan": {"mnist": "all ten digits, lenet_fid 4.4 to 5.5 (real images: 1.3) in 3 of 3 seeds; 8 min on two cores"},
}
