"""A linear classifier, and a multilayer perceptron. Rumelhart et al. 1986, doi:10.1038/323533a0."""

from rlgen.core.seeds import Linear
from rlgen.networks import initial
from rlgen.networks.base import ConvNet, Layers, flatten
from rlgen.networks.settings import NetworkSettings

UNITS = 512  # per hidden layer


class LinearClassifier(ConvNet):
    """logits = W x + b: softmax regression, or with a hinge loss a support vector machine."""

    def __init__(self, shape: tuple[int, int, int], classes: int, settings: NetworkSettings) -> None:
        channels, height, width = shape
        super().__init__({"flatten": flatten()}, Linear(channels * height * width, classes))

    def initialise_as_published(self, settings: NetworkSettings) -> None:
        """Zeros: the loss is convex, and begins at ln K."""
        initial.fill(self, "zeros")


class MLP(ConvNet):
    """`depth` hidden layers of 512 units."""

    def __init__(self, shape: tuple[int, int, int], classes: int, settings: NetworkSettings) -> None:
        make = Layers(settings)
        channels, height, width = shape
        features, units = channels * height * width, make.width(UNITS)
        assert settings.depth
        body = {"flatten": flatten()}
        for i in range(settings.depth):
            body[f"hidden{i + 1}"] = make.linear(features, units)
            features = units
        super().__init__(body, Linear(features, classes))
