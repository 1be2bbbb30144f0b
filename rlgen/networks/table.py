"""The table of the networks for images: names, options, smallest images, published parameter counts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rlgen.core.errors import UserError

IMAGENET = (3, 224, 224)  # (C, H, W) of its images, of 1000 classes
IMAGE_SIDE = 64  # pixels from which `--stem auto` takes the published form, for 224 pixels


@dataclass(frozen=True)
class Network:
    """A network by its name on the command line."""

    name: str
    lives: str  # module:class in this package
    summary: str
    takes: tuple[str, ...]  # the options with an effect on it
    own: Mapping[str, Any] = field(default_factory=dict)  # values in place of `auto`; others depend on its form
    arguments: Mapping[str, Any] = field(default_factory=dict)  # of the class, such as the depth
    smallest: int = 1  # side of the smallest image in pixels, in the form for small images
    smallest_image: int | None = None  # the same in the published form; None: the network has one form
    input: tuple[int, int, int] = (1, 28, 28)  # (C, H, W) of the images of `rlgen summary`
    classes: int = 10  # the same
    parameters: int | None = None  # published count, for these images and classes

    def form(self, shape: tuple[int, int, int], stem: str) -> Literal["image", "small"]:
        """`image` or `small`: the form for images of a shape (C, H, W) where `--stem` is `stem`."""
        if self.smallest_image is None or stem == "small":
            return "small"
        return "image" if stem == "image" or min(shape[1:]) >= max(IMAGE_SIDE, self.smallest_image) else "small"

    def minimum(self, shape: tuple[int, int, int], stem: str = "auto") -> int:
        """Side of the smallest image in pixels, in the form for images of this shape."""
        in_form = self.smallest_image if self.form(shape, stem) == "image" else None
        return in_form or self.smallest

    def check(self, shape: tuple[int, int, int], stem: str = "auto", option: str = "--network", way: str = "") -> None:
        """Raise UserError where images of a shape (C, H, W) are too small, with the size that is large enough.

        `option` is where the name was given, `way` the way out in place of a larger size.
        """
        form = self.form(shape, stem)
        smallest = self.minimum(shape, stem)
        if min(shape[1:]) < smallest:
            ways = " or --stem small" if form == "image" and min(shape[1:]) >= self.smallest else ""
            raise UserError(
                f"{option} {self.name} needs images of at least {smallest}x{smallest} pixels, these have"
                f" {shape[2]}x{shape[1]}: {way or f'--size {-(-smallest // 4) * 4}{ways}'}"
            )


_COMMON = ("activation", "norm", "init", "dropout", "width")
_POOLED = (*_COMMON, "pooling")
_RELU = {"activation": "relu", "dropout": 0.0}
_NORMALISED = {**_RELU, "norm": "batch"}


def _vgg(depth: int, parameters: int) -> Network:
    return Network(
        f"vgg{depth}", "vgg:VGG", f"{depth} layers of 3x3 convolutions (Simonyan 2014)",
        (*_POOLED, "stem"), {"activation": "relu"}, {"depth": depth},
        smallest_image=32, input=IMAGENET, classes=1000, parameters=parameters,
    )  # fmt: skip


def _resnet(depth: int, blocks: tuple[int, ...], parameters: int, plain: bool = False) -> Network:
    bottleneck = depth >= 50
    takes = (*_POOLED, "stem", *(() if plain else ("shortcut",)), *(("bottleneck_stride",) if bottleneck else ()))
    return Network(
        f"{'plain' if plain else 'resnet'}{depth}", "resnet:ResNet",
        f"{depth} layers, {'the same without shortcuts' if plain else 'residual blocks'} (He 2015)",
        takes, {**_NORMALISED, "shortcut": "B"}, {"blocks": blocks, "bottleneck": bottleneck, "plain": plain},
        smallest_image=17, input=IMAGENET, classes=1000, parameters=parameters,
    )  # fmt: skip


def _small_resnet(depth: int, plain: bool) -> Network:
    return Network(
        f"{'plain' if plain else 'resnet'}{depth}", "resnet:SmallResNet",
        f"{depth} layers for 32 pixels, {'the same without shortcuts' if plain else 'residual blocks'} (He 2015)",
        (*_POOLED, *(() if plain else ("shortcut",))), {**_NORMALISED, "shortcut": "A"},
        {"depth": depth, "plain": plain}, input=(3, 32, 32),
    )  # fmt: skip


def _densenet(depth: int, growth: int, blocks: tuple[int, ...], first: int, parameters: int) -> Network:
    return Network(
        f"densenet{depth}", "densenet:DenseNet", f"{depth} densely connected layers (Huang 2016)",
        (*_POOLED, "stem"), _NORMALISED, {"growth": growth, "blocks": blocks, "first": first},
        smallest=8, smallest_image=29, input=IMAGENET, classes=1000, parameters=parameters,
    )  # fmt: skip


def _small_densenet(name: str, depth: int, layers: int, compressed: bool) -> Network:
    return Network(
        name, "densenet:DenseNet", f"{depth} densely connected layers for 32 pixels, growth 12 (Huang 2016)",
        _POOLED, _NORMALISED,
        {"growth": 12, "blocks": 3 * (layers,), "first": 24 if compressed else 16, "compressed": compressed},
        smallest=4, input=(3, 32, 32),
    )  # fmt: skip


_BLOCKS = {
    18: ((2, 2, 2, 2), 11_689_512), 34: ((3, 4, 6, 3), 21_797_672), 50: ((3, 4, 6, 3), 25_557_032),
    101: ((3, 4, 23, 3), 44_549_160), 152: ((3, 8, 36, 3), 60_192_808),
}  # fmt: skip
_ALL = [
    Network("fast", "fast:Fast", "few operations per image: the default", _POOLED, {"norm": "batch", "dropout": 0.0}),
    Network("linear", "mlp:LinearClassifier", "one linear layer: softmax regression, or an SVM", ("init",)),
    Network(
        "mlp", "mlp:MLP", "fully connected hidden layers of 512 units",
        (*_COMMON, "depth"), {**_RELU, "norm": "none", "depth": 2},
    ),
    Network(
        "encoder", "encoder:Encoder", "the encoder of the autoencoders: strided and 3x3 convolutions",
        (*_COMMON, "depth"), {**_RELU, "norm": "none", "depth": 2}, smallest=4,
    ),
    Network(
        "lenet5", "lenet:LeNet5", "LeNet-5 as it is used today (LeCun 1998)",
        _POOLED, {**_RELU, "norm": "none"}, smallest=12, parameters=61_706,
    ),
    Network(
        "lenet5-1998", "lenet:LeNet5Of1998", "LeNet-5 as it was published: sparse, distances as outputs (LeCun 1998)",
        (), smallest=12, input=(1, 32, 32), parameters=60_000,
    ),
    Network(
        "alexnet", "alexnet:AlexNet", "8 layers (Krizhevsky 2012)", (*_POOLED, "stem", "groups"),
        {"activation": "relu"}, smallest=29, smallest_image=67, input=(3, 227, 227), classes=1000,
        parameters=60_965_224,
    ),
    *(_vgg(*row) for row in ((11, 132_863_336), (13, 133_047_848), (16, 138_357_544), (19, 143_667_240))),
    Network(
        "googlenet", "googlenet:GoogLeNet", "nine inception modules (Szegedy 2014)",
        (*_POOLED, "stem", "factorised", "auxiliary"), {"activation": "relu"},
        smallest_image=31, input=IMAGENET, classes=1000, parameters=6_998_552,
    ),
    *(_resnet(depth, *row) for depth, row in _BLOCKS.items()),
    *(_small_resnet(depth, plain=False) for depth in (20, 32, 44, 56, 110)),
    _resnet(18, (2, 2, 2, 2), 11_515_688, plain=True), _resnet(34, (3, 4, 6, 3), 21_623_848, plain=True),
    *(_small_resnet(depth, plain=True) for depth in (20, 32, 44, 56, 110)),
    _densenet(121, 32, (6, 12, 24, 16), 64, 7_978_856), _densenet(169, 32, (6, 12, 32, 32), 64, 14_149_480),
    _densenet(201, 32, (6, 12, 48, 32), 64, 20_013_928), _densenet(161, 48, (6, 12, 36, 24), 96, 28_681_000),
    _small_densenet("densenet-40-12", 40, 12, compressed=False),
    _small_densenet("densenet-bc-40-12", 40, 6, compressed=True),
    _small_densenet("densenet-bc-100-12", 100, 16, compressed=True),
]  # fmt: skip
NETWORKS: dict[str, Network] = {network.name: network for network in _ALL}
