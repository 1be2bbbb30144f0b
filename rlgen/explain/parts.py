"""Networks of agents and GANs in the form that explanations take: a `body` of named blocks, and a `head`."""

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn

LAYERS = ((nn.Conv2d, "conv"), (nn.Linear, "linear"), (nn.Flatten, "flatten"), (nn.Module, "block"))


class Parts(nn.Module):
    """Blocks by name, images (N, C, H, W) -> features (N, F), and a head from features to K scores (N, K)."""

    def __init__(self, layers: nn.Sequential, head: nn.Module) -> None:
        super().__init__()
        self.body, self.head = nn.Sequential(named_blocks(layers)), head

    def features(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> features (N, F)."""
        h: Tensor = self.body(x)
        return h

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> scores (N, K)."""
        scores: Tensor = self.head(self.features(x))
        return scores


class QHead(nn.Module):
    """Q-values (N, A) of features, by the head of a Q-network and the representation of its values."""

    def __init__(self, head: nn.Module, mean: Callable[[Tensor], Tensor]) -> None:
        """`mean` takes the outputs (N, A, K) of the head to Q-values (N, A)."""
        super().__init__()
        self.head, self.mean = head, mean

    def forward(self, h: Tensor) -> Tensor:
        """(N, F) -> (N, A)."""
        return self.mean(self.head(h))


class Sides(nn.Module):
    """Scores of "generated" and "real" (N, 2): the distance of the logit from the threshold, either way."""

    def __init__(self, output: nn.Module, threshold: float) -> None:
        super().__init__()
        self.output, self.threshold = output, threshold

    def forward(self, h: Tensor) -> Tensor:
        """(N, F) -> (N, 2)."""
        logit = self.output(h) - self.threshold
        return torch.cat([-logit, logit], 1)


class ClassLogits(nn.Module):
    """The logits of a conditional discriminator for each label (N, K): w φ(x) + e(y) φ(x)."""

    def __init__(self, output: nn.Module, embedding: nn.Embedding) -> None:
        super().__init__()
        self.output, self.embedding = output, embedding

    def forward(self, h: Tensor) -> Tensor:
        """(N, F) -> (N, K)."""
        logits: Tensor = self.output(h) + h @ self.embedding.weight.T
        return logits


def named_blocks(layers: nn.Sequential) -> "OrderedDict[str, nn.Module]":
    """The layers by name; without names of their own each layer with weights, and what follows it, is a block.

    Blocks are called conv1, conv2, flatten, linear1, ...; a network among the layers stands for its blocks.
    """
    found: OrderedDict[str, nn.Module] = OrderedDict()
    groups: list[list[nn.Module]] = []
    for name, layer in layers.named_children():
        if not name.isdecimal():
            found[name] = layer
        elif isinstance(layer, nn.Sequential) and any(not child.isdecimal() for child, _ in layer.named_children()):
            found.update(named_blocks(layer))
        elif not groups or isinstance(layer, nn.Flatten) or any(True for _ in layer.parameters()):
            groups.append([layer])
        else:
            groups[-1].append(layer)
    counts: dict[str, int] = {}
    for group in groups:
        kind = next(name for cls, name in LAYERS if isinstance(group[0], cls))
        counts[kind] = counts.get(kind, 0) + 1
        number = "" if kind == "flatten" else str(counts[kind])
        found[f"{kind}{number}"] = group[0] if len(group) == 1 else nn.Sequential(*group)
    return found
