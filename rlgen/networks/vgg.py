"""VGG: 3x3 convolutions alone, more of them. Simonyan & Zisserman 2014, arXiv:1409.1556."""

from dataclasses import replace

from torch import nn

from rlgen.core.seeds import Linear
from rlgen.networks import initial
from rlgen.networks.base import ConvNet, Layers, flatten
from rlgen.networks.settings import NetworkSettings

STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}  # convolutions (table 1)
WIDTHS = (64, 128, 256, 512, 512)  # channels of the stages


class VGG(ConvNet):
    """Five stages of 3x3 convolutions, each ending with pooling, then two hidden layers of 4,096 units.

    Normalisation is of convolutions alone. Small images: batch norm, no hidden layers, no pooling of maps of one pixel.
    """

    def __init__(self, shape: tuple[int, int, int], classes: int, settings: NetworkSettings, depth: int) -> None:
        image = settings.stem == "image"
        own = settings.own(norm="none" if image else "batch", dropout=0.5 if image else 0.0)
        make, dense = Layers(own, biases=True), Layers(replace(own, norm="none"))
        channels, height, width = shape
        body: dict[str, nn.Module] = {}
        for stage, (count, after) in enumerate(zip(STAGES[depth], map(make.width, WIDTHS), strict=True)):
            for i in range(count):
                body[f"conv{stage + 1}_{i + 1}"] = make.convolution(channels, after, 3)
                channels = after
            if min(height, width) > 1:
                body[f"pool{stage + 1}"] = make.pool(2, 2)
                height, width = height // 2, width // 2
        features, units = channels * height * width, make.width(4096)
        body["flatten"] = nn.Sequential(flatten(), *([] if image else make.dropout()))
        if image:
            body |= {"fc6": dense.linear(features, units), "fc7": dense.linear(units, units)}
            features = units
        super().__init__(body, Linear(features, classes))

    def initialise_as_published(self, settings: NetworkSettings) -> None:
        """By Xavier's scheme without normalisation (section 3.1), or else by He's."""
        normalised = any(isinstance(module, nn.BatchNorm2d | nn.GroupNorm) for module in self.modules())
        initial.fill(self, "he" if normalised or settings.stem == "small" else "xavier", settings.activation)
