"""The convolutional encoder of `rlgen ae`, `vae` and `vqvae`, as a classifier. Radford 2015, arXiv:1511.06434."""

from rlgen.core.errors import UserError
from rlgen.core.seeds import Linear
from rlgen.networks.base import ConvNet, Layers, flatten
from rlgen.networks.settings import NetworkSettings

WIDTH = 32  # channels of the first convolution


class Encoder(ConvNet):
    """Two strided convolutions, each of which halves the image, and `depth` convolutions of 3x3."""

    def __init__(self, shape: tuple[int, int, int], classes: int, settings: NetworkSettings) -> None:
        make = Layers(settings)
        channels, height, width = shape
        if height % 4 or width % 4:
            raise UserError(f"--network encoder halves images twice, these have {width}x{height} pixels: --size 32")
        narrow, wide = make.width(WIDTH), 2 * make.width(WIDTH)
        convolutions = [make.convolution(channels, narrow, 4, 2, 1), make.convolution(narrow, wide, 4, 2, 1)]
        convolutions += [make.convolution(wide, wide, 3) for _ in range(settings.depth or 0)]
        body = {f"conv{i + 1}": convolution for i, convolution in enumerate(convolutions)}
        super().__init__({**body, "flatten": flatten()}, Linear(wide * (height // 4) * (width // 4), classes))
