"""Settings of the generative models. Imports no torch.

A field is an option, the comment beside it its help, the comment line above a group its panel.
"""

from collections.abc import Container
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeFloat
from pydantic.dataclasses import dataclass

from rlgen.core.errors import UserError
from rlgen.core.optim.settings import Decay, OptimizerSettings
from rlgen.core.settings import Amount, Count, Fraction, Layers, OptionalDuration, OptionalLayers, Rate, Width
from rlgen.networks.settings import NetworkName


def _multiple_of_four(size: int) -> int:
    if size % 4:
        raise ValueError("must be a multiple of 4: the networks halve an image twice")
    return size


def _odd(side: int) -> int:
    if side % 2 == 0:
        raise ValueError("must be odd: a kernel has a centre")
    return side


Size = Annotated[int, Field(ge=8, le=64), AfterValidator(_multiple_of_four)]
Codes = Annotated[int, Field(ge=2, le=2**20)]
Odd = Annotated[int, Field(ge=1, le=255), AfterValidator(_odd)]


@dataclass(frozen=True)
class Model(OptimizerSettings):
    """Settings of every model."""

    # Learning
    lr: Rate = 1e-3  # learning rate
    batch: Count = 128  # images per gradient step
    ema: Decay = 0.999  # EMA decay per gradient step, of the weights that are evaluated and sampled
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # precision of training; auto: the faster one
    compile: bool = False  # compilation of the training by torch.compile, for accelerators; half a minute at the start
    # Data
    data: str | None = None  # folder of the dataset's files, such as MNIST/raw; none: $RLGEN_DATA, ./data, cache
    size: Size | None = None  # side of the scaled images in pixels; none: images of their own size
    skip_bad: bool = False  # skip unreadable image files of a folder

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.full_batch:
            raise ValueError(f"--optimizer {self.optimizer}: the loss has fresh noise at each step: take adam or sgd")
        if self.schedule == "plateau":
            raise ValueError("--schedule plateau: no score ranks generative models: take --schedule cosine")


@dataclass(frozen=True)
class Likely(Model):
    """Settings of models with a likelihood."""

    # Likelihood
    likelihood: Literal["bernoulli", "logistic", "mixture", "softmax"] = "bernoulli"  # binary; others: 256 levels
    binarise: Literal["dynamic", "static", "none"] = "dynamic"  # bernoulli: at each use, once, or none
    components: Width = 10  # logistics of a mixture

    def check(self, given: Container[str]) -> None:
        """Raise UserError where a typed setting belongs to another likelihood."""
        if "binarise" in given and self.likelihood != "bernoulli":
            raise UserError(
                f"--binarise {self.binarise}: --likelihood {self.likelihood} takes grey levels: leave it out,"
                " or use --likelihood bernoulli"
            )
        if "components" in given and self.likelihood != "mixture":
            raise UserError(f"--components {self.components}: only --likelihood mixture has components")


@dataclass(frozen=True)
class Coder(Model):
    """Settings of models with a latent vector per image."""

    # Network
    network: Literal["dense", "convolutional"] = "dense"  # fully connected layers, or strided convolutions
    latent: Width = 32  # dimensions of the code of an image; 2: a manifold is drawn
    width: Width | None = None  # features of a hidden layer (none: 512), or channels at half the size (none: 32)
    depth: OptionalLayers = 2  # hidden layers, 0: linear; or 3x3 convolutions at a quarter of the size

    def unused(self) -> dict[str, str]:
        """Options without an effect beside the others, and the reason."""
        linear = self.network == "dense" and self.depth == 0
        return {**super().unused(), **({"width": "--depth 0 has no hidden layer"} if linear else {})}


@dataclass(frozen=True)
class Autoencoder(Coder):
    """Settings of an autoencoder: plain, denoising or k-sparse."""

    # Code
    noise_std: NonNegativeFloat = 0.0  # standard deviation of noise on encoded images in [0, 1]; targets are clean
    mask_fraction: Fraction = 0.0  # share of black pixels in encoded images; targets are clean
    k_sparse: Amount = 0  # largest dimensions of a code that are kept, the others being 0; 0: all

    def check(self, given: Container[str]) -> None:
        """Raise UserError where settings contradict each other."""
        if self.k_sparse > self.latent:
            raise UserError(f"--k-sparse {self.k_sparse}: --latent {self.latent} has fewer: raise it, to 1000 say")


@dataclass(frozen=True)
class VAE(Coder, Likely):
    """Settings of a variational autoencoder."""

    # Objective
    beta: NonNegativeFloat = 1.0  # weight of the KL divergence in training; evaluations report bounds at 1
    kl_warmup: OptionalDuration = 0  # images over which beta rises from 0; 0: none
    free_bits: NonNegativeFloat = 0.0  # KL divergence per dimension without a gradient, nats
    conditional: bool = False  # label as input of encoder and decoder: samples of chosen classes

    def unused(self) -> dict[str, str]:
        """Options without an effect beside the others, and the reason."""
        return {**super().unused(), **({} if self.beta else {"kl_warmup": "--beta 0 leaves the KL divergence out"})}


@dataclass(frozen=True)
class VQVAE(Likely):
    """Settings of a VQ-VAE: an autoencoder with a codebook, and a PixelCNN as prior."""

    # Learning
    commitment: NonNegativeFloat = 0.25  # weight of the squared distance from encoder outputs to their codes
    conditional: bool = False  # label as input of the prior: samples of chosen classes
    # Network
    width: Width = 32  # channels at half of the images' size, twice as many at a quarter
    depth: OptionalLayers = 1  # 3x3 convolutions at a quarter of the images' size
    # Codebook
    codebook_size: Codes = 128  # codes in the codebook; an image has one per 4x4 pixels
    code_dim: Width = 16  # dimensions of a code
    codebook_decay: Decay = 0.99  # EMA decay of the codes per gradient step
    # Prior
    prior_width: Width = 64  # features per position of the PixelCNN over code indices
    prior_blocks: Layers = 4  # residual blocks of the PixelCNN over code indices


@dataclass(frozen=True)
class GAN(Model):
    """Settings of a generative adversarial network."""

    # Learning
    lr: Rate = 1e-3  # learning rate of the generator
    discriminator_lr: Rate = 1e-3  # learning rate of the discriminator (two time scales: Heusel 2017)
    beta1: Decay = 0.5  # decay of Adam's mean gradient per step; 0 to 0.5 is usual for GANs
    beta2: Decay | None = 0.99  # decay of the mean squared gradient per step; none: 0.999 for adam
    batch: Count = 32  # images per gradient step
    ema: Decay = 0.999  # EMA decay per gradient step, of the generator that is sampled
    conditional: bool = False  # label as input of both networks: samples of chosen classes (Miyato & Koyama 2018)
    precision: Literal["auto", "float32", "bfloat16"] = "float32"  # precision of training; auto: the faster one
    # Loss
    loss: Literal["non-saturating", "lsgan", "hinge", "wgan"] = "non-saturating"  # adversarial loss
    critic_steps: Layers = 1  # gradient steps of the discriminator, each on new images, per step of the generator
    spectral_norm: bool = True  # spectral norm of the discriminator's layers held at 1 (Miyato 2018)
    gradient_penalty_weight: NonNegativeFloat = 0.0  # of (|gradient| - 1)^2, real to fake (Gulrajani 2017)
    r1_weight: NonNegativeFloat = 0.0  # weight of |gradient|^2 / 2 at real images (Mescheder 2018)
    r1_interval: Count = 16  # gradient steps between R1 penalties; multiplies their weight (Karras 2020)
    # Small datasets
    augment: Literal["none", "diffaugment", "adaptive"] = "none"  # augmentation of the discriminator's images
    augment_images: Count = 100_000  # images over which adaptive augmentation can go from none to full
    # Network
    architecture: Literal["dcgan", "residual", "dense"] = "dcgan"  # convolutions, residual blocks; for points: dense
    discriminator: NetworkName | None = None  # network of the discriminator, such as resnet20; none: --architecture
    latent: Width = 64  # dimensions of the noise; 2: a manifold is drawn
    width: Width = 32  # channels of the generator at half of the images' size; dense: features of a layer
    discriminator_width: Width = 24  # channels of the discriminator at half of the images' size; or features

    def unused(self) -> dict[str, str]:
        """Options without an effect beside the others, and the reason."""
        table: tuple[tuple[str, bool, str], ...] = (
            ("r1_interval", not self.r1_weight, "it belongs to --r1-weight, 1 for example"),
            (
                "discriminator_width",
                self.discriminator is not None,
                "it belongs to the discriminators of --architecture",
            ),
            ("augment_images", self.augment != "adaptive", "it belongs to --augment adaptive"),
        )
        return {**super().unused(), **{name: why for name, on, why in table if on}}

    def check(self, given: Container[str]) -> None:
        """Raise UserError where settings contradict each other."""
        if self.accumulate > 1:
            raise UserError(f"--accumulate {self.accumulate}: the two networks take turns: raise --batch")
        if self.loss == "wgan" and not self.spectral_norm and not self.gradient_penalty_weight:
            raise UserError(
                "--loss wgan: nothing bounds the critic: --gradient-penalty-weight 10 or --spectral-norm does"
            )
        if self.loss == "wgan" and self.augment == "adaptive":
            raise UserError("--augment adaptive: a Wasserstein critic has no decision threshold: take diffaugment")


@dataclass(frozen=True)
class Autoregressive(Likely):
    """Settings of autoregressive models."""

    # Learning
    lr: Rate = 2e-3  # learning rate
    beta2: Decay | None = 0.99  # decay of the mean squared gradient per step; none: 0.999 for adam
    warmup: Amount = 200  # gradient steps over which the learning rate rises to its full value
    batch: Count = 32  # images per gradient step
    conditional: bool = False  # label as input of the network: samples of chosen classes
    # Network
    width: Width = 16  # features per pixel
    first_kernel: Odd = 7  # side of the first convolution in pixels
    head_width: Width = 32  # features of the layer before the prediction
    position_bias: bool = True  # learned bias per position in the image


@dataclass(frozen=True)
class PixelCNN(Autoregressive):
    """Settings of a model of masked convolutions."""

    # Network
    blocks: Layers = 3  # residual blocks at each resolution
    levels: Layers = 3  # resolutions, each half of the one before; 1: the network of the paper
    width_multiplier: Width = 3  # features per pixel of a resolution, relative to the one before
    kernel: Odd = 3  # side of the masked convolutions in the blocks, in pixels
    bottleneck: bool = False  # masked convolutions of half the features between two 1x1 convolutions, as in the paper
    gated: bool = False  # two stacks of gated convolutions, without a blind spot

    def unused(self) -> dict[str, str]:
        """Options without an effect beside the others, and the reason."""
        one = {"width_multiplier": "--levels 1 has one resolution"} if self.levels == 1 else {}
        return {**super().unused(), **one}

    def check(self, given: Container[str]) -> None:
        """Raise UserError where settings contradict each other."""
        super().check(given)
        if self.gated and self.bottleneck:
            raise UserError("--bottleneck: gated blocks have none; leave it or --gated out")


@dataclass(frozen=True)
class PixelRNN(Autoregressive):
    """Settings of a model of recurrent layers."""

    # Network
    layers: Layers = 3  # recurrent layers, each with a residual connection
    scan: Literal["row", "diagonal"] = "row"  # Row LSTM, or Diagonal BiLSTM with a larger receptive field
