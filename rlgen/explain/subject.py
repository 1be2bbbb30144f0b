"""What is explained: a trained network as a plain module, fresh networks of the same form, and the test images."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from rlgen import networks
from rlgen.core.errors import UserError
from rlgen.core.images import from_bytes
from rlgen.core.seeds import derive, initial_weights, torch_stream


@dataclass(frozen=True)
class Subject:
    """A classifier's network of one seed or member, in evaluation mode. N images, K classes."""

    network: nn.Module  # normalised images (N, C, H, W) -> logits (N, K)
    fresh: Callable[[int], nn.Module]  # seed -> a network of the same form with random weights
    images: Tensor  # (N, C, H, W) uint8, of the test split
    labels: Tensor  # (N,) int64
    classes: tuple[str, ...]
    mean: Tensor  # (C,) of the training images in [0, 1]
    std: Tensor  # (C,)
    name: str  # of the network

    @classmethod
    def of(cls, classifier: Any, member: int = 0) -> "Subject":
        """The averaged weights of seed or member `member` of a classifier. Raises UserError where there is none."""
        members = [(copies, s) for copies in classifier.ensemble.networks() for s in range(copies.count)]
        if not 0 <= member < len(members):
            raise UserError(f"--member {member}: this run has the members 0 to {len(members) - 1}")
        copies, s = members[member]
        config = classifier.config
        kinds = (classifier.shape, len(classifier.classes))

        def fresh(seed: int) -> nn.Module:
            with initial_weights(derive(seed, "random network of an explanation")):
                return _frozen(networks.build(config.network, *kinds, replace(config, init="he")))

        network = networks.build(config.network, *kinds, config)
        weights = copies.network.state_dict()
        network.load_state_dict({k: (v[s] if copies.count > 1 else v).cpu() for k, v in weights.items()})
        test = classifier.test_set
        return cls(
            _frozen(network), fresh, test.images.cpu(), test.labels.cpu(), classifier.classes,
            classifier.mean.float().cpu(), classifier.std.float().cpu(), config.network,
        )  # fmt: skip

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of an image."""
        return tuple(self.images.shape[1:])

    @property
    def baseline(self) -> Tensor:
        """The mean colour (C,) of the training images, normalised."""
        return self.normalize(self.mean.view(1, -1, 1, 1)).flatten()

    def normalize(self, x: Tensor) -> Tensor:
        """Bytes or numbers in [0, 1] (N, C, H, W) as the network takes them."""
        x = from_bytes(x) if x.dtype == torch.uint8 else x
        return (x - self.mean.view(-1, 1, 1)) / self.std.view(-1, 1, 1)

    def pixels(self, x: Tensor) -> Tensor:
        """Normalised images (N, C, H, W) as numbers in [0, 1]."""
        return (x * self.std.view(-1, 1, 1) + self.mean.view(-1, 1, 1)).clamp(0, 1)

    @torch.no_grad()
    def probabilities(self, x: Tensor) -> Tensor:
        """Probabilities (N, K) of the classes of normalised images (N, C, H, W)."""
        found: Tensor = self.network(x).softmax(-1)
        return found

    def choose(self, count: int, seed: int) -> Tensor:
        """Indices (n,) of `count` test images in random order, one of each class before a second of any."""
        order = torch.randperm(len(self.labels), generator=torch_stream(seed, "images explained"))
        labels = self.labels[order]
        turn = torch.zeros(len(order), dtype=torch.long)  # how many of its class come before an image
        for k in range(len(self.classes)):
            turn[labels == k] = torch.arange(int((labels == k).sum()))
        return order[turn.sort(stable=True).indices][: min(count, len(order))]

    def sample(self, count: int, seed: int) -> Tensor:
        """Indices (n,) of at most `count` test images, drawn at random."""
        return torch.randperm(len(self.labels), generator=torch_stream(seed, "images searched"))[:count]

    def class_index(self, text: str) -> int:
        """The number of a class by name or number. Raises UserError for another."""
        if text in self.classes:
            return self.classes.index(text)
        if text.isdecimal() and int(text) < len(self.classes):
            return int(text)
        shown = ", ".join(self.classes[:12]) + (", ..." if len(self.classes) > 12 else "")
        raise UserError(f"--class {text}: the classes of this run are {shown}")


def _frozen(network: nn.Module) -> nn.Module:
    return network.eval().requires_grad_(False)
