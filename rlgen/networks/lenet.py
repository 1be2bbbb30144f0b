"""LeNet-5. LeCun et al. 1998, doi:10.1109/5.726791."""

from rlgen.core.seeds import Linear
from rlgen.networks.base import ConvNet, Layers, flatten, pooled
from rlgen.networks.settings import NetworkSettings


class LeNet5(ConvNet):
    """LeNet-5 as it is used today: C3 connected to all maps, pooling without weights, a linear output, ReLU.

    Images of 28 pixels are padded to the 32 of the paper, where C5 has one position. `--activation tanh --pooling
    average` is nearer to the paper.
    """

    def __init__(self, shape: tuple[int, int, int], classes: int, settings: NetworkSettings) -> None:
        make = Layers(settings)
        channels, height, width = shape
        c1, c3, c5, f6 = map(make.width, (6, 16, 120, 84))
        padding = 2 if min(height, width) < 32 else 0
        rows, columns = (_side(side, padding) for side in (height, width))
        body = {
            "C1": make.convolution(channels, c1, 5, padding=padding),
            "S2": make.pool(2, 2),
            "C3": make.convolution(c1, c3, 5, padding=0),
            "S4": make.pool(2, 2),
            "flatten": flatten(),
            "C5": make.linear(c3 * rows * columns, c5),  # a 5x5 convolution of 5x5 maps
            "F6": make.linear(c5, f6),
        }
        super().__init__(body, Linear(f6, classes))


def _side(side: int, padding: int) -> int:
    """Side of the maps of S4."""
    return pooled(pooled(pooled(pooled(side, 5, 1, padding), 2, 2), 5, 1), 2, 2)
