"""PixelCNN: an autoregressive model of masked convolutions. van den Oord et al. 2016, arXiv:1601.06759, 1606.05328."""

from rlgen.generative import settings
from rlgen.generative.autoregressive.base import Autoregressive
from rlgen.generative.autoregressive.causal import PixelNetwork
from rlgen.generative.autoregressive.gated import GatedNetwork
from rlgen.generative.autoregressive.masked import MaskedNetwork, ResidualStack


class PixelCNN(Autoregressive):
    """The likelihood of an image as a product over pixels, by masked convolutions: residual, or gated in two stacks."""

    Config = settings.PixelCNN
    config: settings.PixelCNN

    def build(self, outputs: int, classes: int) -> PixelNetwork:
        """One stack of residual blocks, or a vertical and a horizontal stack of gated ones."""
        config = self.config
        if config.gated:
            return GatedNetwork(self.shape, outputs, config, classes)
        return MaskedNetwork(self.shape, outputs, config, ResidualStack(config, self.shape[0], classes))
