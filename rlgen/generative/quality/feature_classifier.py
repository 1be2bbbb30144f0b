"""A small classifier of a dataset, in whose features samples are compared with real images.

The network is a LeNet: LeCun et al. 1998, doi:10.1109/5.726791. Features of a classifier of the same domain, for
digits: Bińkowski et al. 2018, arXiv:1801.01401. Without labels the network stays untrained: Naeem et al. 2020,
arXiv:2002.09797.
"""

import hashlib
import logging
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlgen.core import checkpoint
from rlgen.core.errors import CheckpointError
from rlgen.core.images import from_bytes
from rlgen.core.optim import eager
from rlgen.core.seeds import torch_stream
from rlgen.data import Dataset, idx

VERSION = 1  # of network and training: distances compare within one version only
FEATURES = 128
EPOCHS, STEPS, BATCH, LR = 2, 1_000, 128, 2e-3  # of the training: so many epochs or steps, whichever is longer
REFERENCE_IMAGES = 10_000  # of each split, whose features are kept
CHUNK_SIZE = 500  # images classified at once, to bound the memory
log = logging.getLogger("rlgen")


@dataclass(frozen=True)
class FeatureClassifier:
    """The network of one dataset, and statistics of its features of the real images."""

    name: str  # dataset, size, version and digest of the images
    network: dict[str, Tensor]  # weights
    accuracy: float | None  # on test images; None for an untrained network
    mean: Tensor  # (128,) of the features of all training images
    covariance: Tensor  # (128, 128)
    shares: Tensor  # (K,) of the classes among the training images
    reference: Tensor  # (M, 128) features of training images in random order
    test_features: Tensor  # (M', 128) features of test images in random order

    @classmethod
    def cached(cls, train: Dataset, test: Dataset) -> "FeatureClassifier":
        """The feature classifier of a dataset from the cache, or else trained in about half a minute and stored."""
        name = f"{_file_name(train.name)}-{train.images.shape[-1]}-{VERSION}-{_digest(train, test)}"
        folder = idx.cache() / "feature-classifiers" / name
        with suppress(CheckpointError):
            saved = checkpoint.load(folder)
            if set(saved) == {f.name for f in fields(cls)}:
                return cls(**saved)
        classifier = cls.fit(name, train, test)
        try:
            checkpoint.save(folder, {f.name: getattr(classifier, f.name) for f in fields(cls)})
        except OSError as error:
            log.warning(f"{folder} cannot be written ({error}): the feature classifier will be trained again next time")
        return classifier

    @classmethod
    def fit(cls, name: str, train: Dataset, test: Dataset) -> "FeatureClassifier":
        """Train the network, with the same weights to the bit each time, and compute the features of real images."""
        network = _untrained(train)
        labelled = train.labels is not None and len(train.classes) > 1
        if labelled:
            log.warning(f"training the feature classifier of {train.name}, once per dataset: about half a minute")
            _train(network, train)
        features, _ = _features(network, train.images)
        order = shuffled(len(test))[:REFERENCE_IMAGES]
        test_features, logits = _features(network, test.images[order])
        accuracy = None
        if labelled and test.labels is not None:
            accuracy = (logits.argmax(1) == test.labels[order]).double().mean().item()
        return cls(
            name=name,
            network={key: value.detach() for key, value in network.state_dict().items()},
            accuracy=accuracy,
            mean=features.double().mean(0),
            covariance=features.double().T.cov() if len(features) > 1 else torch.zeros(2 * (FEATURES,)).double(),
            shares=torch.zeros(0) if train.labels is None else _shares(train.labels, len(train.classes)),
            reference=features[shuffled(len(train))[:REFERENCE_IMAGES]].clone(),
            test_features=test_features,
        )

    def features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, 128) and logits (N, K) of images (N, C, H, W) in bytes."""
        with torch.device("meta"):
            network = lenet(tuple(images.shape[1:]), len(self.network["6.bias"]))
        network.load_state_dict(self.network, assign=True)
        return _features(network, images)

    def classify(self, features: Tensor) -> Tensor:
        """Logits of features: (N, 128) -> (N, K)."""
        return F.linear(features, self.network["6.weight"], self.network["6.bias"])


def lenet(shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """(N, C, H, W) -> (N, K); strides in place of pooling, which would take most of the time."""
    channels, height, width = shape
    quarter = ((height + 3) // 4) * ((width + 3) // 4)
    return nn.Sequential(
        nn.Conv2d(channels, 32, 5, stride=2, padding=2), nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Sequential(nn.Linear(64 * quarter, FEATURES), nn.ReLU()),
        nn.Linear(FEATURES, classes),
    )  # fmt: skip


def shuffled(count: int) -> Tensor:
    """(count,) indices in a fixed random order, as datasets may be sorted by class or difficulty."""
    return torch.randperm(count, generator=torch_stream(0, "order of real images"))


def _untrained(train: Dataset) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(VERSION)
        return lenet(tuple(train.images.shape[1:]), max(1, len(train.classes)))


def _train(network: nn.Sequential, train: Dataset) -> None:
    """On one CPU thread, because a sum over several depends on their number in the last bits."""
    assert train.labels is not None
    stream, threads = torch_stream(VERSION, "judge"), torch.get_num_threads()
    batch = min(BATCH, len(train))
    steps = max(STEPS, EPOCHS * len(train) // batch)
    epochs = -(-steps * batch // len(train))
    order = torch.cat([torch.randperm(len(train), generator=stream) for _ in range(epochs)])
    optimizer = eager.Adam(network.parameters(), LR)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=steps)
    try:
        torch.set_num_threads(1)
        for index in torch.split(order[: steps * batch], batch):
            loss = F.cross_entropy(network(_floats(train.images[index])), train.labels[index])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    finally:
        torch.set_num_threads(threads)


@torch.no_grad()
def _features(network: nn.Sequential, images: Tensor) -> tuple[Tensor, Tensor]:
    features = torch.cat([network[:-1](_floats(chunk)) for chunk in torch.split(images, CHUNK_SIZE)])
    return features, network[-1](features)


def _floats(images: Tensor) -> Tensor:
    return from_bytes(images).contiguous(memory_format=torch.channels_last)


def _shares(labels: Tensor, classes: int) -> Tensor:
    return labels.bincount(minlength=classes).double() / len(labels)


def _digest(*datasets: Dataset) -> str:
    digest = hashlib.sha256()
    for dataset in datasets:
        digest.update(repr((dataset.images.shape, dataset.classes)).encode())
        for tensor in (dataset.images, dataset.labels):
            if tensor is not None:
                digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()[:12]


def _file_name(name: str) -> str:
    """`mnist`, or the last part of the path of a folder."""
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in Path(name.removeprefix("folder:")).name)
