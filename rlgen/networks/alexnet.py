"""AlexNet. Krizhevsky et al. 2012, doi:10.1145/3065386."""

import torch
from torch import nn

from rlgen.core.seeds import Linear
from rlgen.networks import initial
from rlgen.networks.base import ConvNet, Layers, flatten, pooled
from rlgen.networks.settings import NetworkSettings

ONES = ("conv2", "conv4", "conv5", "fc6", "fc7")  # layers whose biases are 1 at first (section 5)


class AlexNet(ConvNet):
    """Five convolutions and two hidden layers of 4,096 units; convolutions 2, 4 and 5 in two groups.

    The figure in the paper has 224 pixels, its arithmetic 227. Local response normalisation follows convolutions 1 and
    2, any other normalisation all five. Small images: 64 to 384 channels, no groups, no hidden layers.
    """

    def __init__(self, shape: tuple[int, int, int], classes: int, settings: NetworkSettings) -> None:
        image = settings.stem == "image"
        own = settings.own(norm="lrn" if image else "none", dropout=0.5 if image else 0.0, groups=image)
        make, after, groups = Layers(own), Layers(own.without_lrn()), 2 if own.groups else 1
        widths = (96, 256, 384, 384, 256) if image else (64, 192, 384, 256, 256)
        c1, c2, c3, c4, c5 = (groups * max(1, make.width(channels) // groups) for channels in widths)
        kernel = 3 if image else 2  # of pooling; in the paper windows overlap
        body = {
            "conv1": make.convolution(shape[0], c1, 11, 4, padding=0 if image else 5),
            "pool1": make.pool(kernel, 2),
            "conv2": make.convolution(c1, c2, 5, groups=groups),
            "pool2": make.pool(kernel, 2),
            "conv3": after.convolution(c2, c3, 3),
            "conv4": after.convolution(c3, c4, 3, groups=groups),
            "conv5": after.convolution(c4, c5, 3, groups=groups),
            "pool5": make.pool(kernel, 2),
            "flatten": nn.Sequential(flatten(), *([] if image else make.dropout())),
        }
        rows, columns = (_side(side, image) for side in shape[1:])
        features, units = c5 * rows * columns, make.width(4096)
        if image:
            body |= {"fc6": make.linear(features, units), "fc7": make.linear(units, units)}
            features = units
        super().__init__(body, Linear(features, classes))

    def initialise_as_published(self, settings: NetworkSettings) -> None:
        """Weights from N(0, 0.01²), biases 1 in `ONES` and 0 elsewhere; for small images by He's scheme."""
        if settings.stem == "small":
            super().initialise_as_published(settings)
            return
        initial.fill(self, "gaussian", std=0.01)
        for name in ONES:
            for layer in self.body.get_submodule(name).modules():
                if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
                    with torch.no_grad():
                        layer.bias.fill_(1.0)


def _side(side: int, image: bool) -> int:
    """Side of the maps after the last pooling, for images of this side."""
    side = pooled(side, 11, 4, 0 if image else 5)
    for _ in range(3):
        side = pooled(side, 3 if image else 2, 2)
    return side
