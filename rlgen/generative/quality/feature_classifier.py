"""A small classifier of a dataset, in whose features samples are judged. LeCun et al. 1998, doi:10.1109/5.726791.

Features of a classifier of the very domain are what Bińkowski et al. 2018 (arXiv:1801.01401) take for digits. Where
there are no labels, an untrained network stands in, as Naeem et al. 2020 (arXiv:2002.09797) suggest.
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
from rlgen.core.seeds import torch_stream
from rlgen.data import Dataset, idx
from rlgen.generative.quality.distances import nearest

VERSION = 1  # another network, another training: another number, for distances compare within one version alone
FEATURES = 128
EPOCHS, STEPS, BATCH, LR = 2, 1_000, 128, 2e-3  # so many epochs, or steps where that is longer
KEPT = 10_000  # images of each split whose features are kept
PROBES = 1_000  # test images whose nearest training image is looked up
CHUNK_SIZE = 500  # images looked at at once, to bound the memory
log = logging.getLogger("rlgen")


@dataclass(frozen=True)
class FeatureClassifier:
    """The network of one dataset and what it sees in the real images: made once, then read from the cache."""

    name: str  # dataset, size, version and digest of the images
    network: dict[str, Tensor]
    accuracy: float | None  # on the test images; None where there are no labels and the network is untrained
    mean: Tensor  # (128,) of the features of all training images
    covariance: Tensor  # (128, 128)
    shares: Tensor  # (K,) of each class among the training images
    reference: Tensor  # (M, 128) features of training images in random order, 10,000 at most
    test_features: Tensor  # (M', 128) features of test images in random order
    test_nearest_distances: Tensor  # (P,) distance of some of these test images to the nearest training image

    @classmethod
    def of(cls, train: Dataset, test: Dataset) -> "FeatureClassifier":
        """The judge of a dataset, from the cache if it is there whole. Training one takes about half a minute."""
        name = f"{_word(train.name)}-{train.images.shape[-1]}-{VERSION}-{_digest(train, test)}"
        folder = idx.cache() / "judges" / name
        with suppress(CheckpointError):
            saved = checkpoint.load(folder)
            if set(saved) == {f.name for f in fields(cls)}:
                return cls(**saved)
        judge = cls.learn(name, train, test)
        try:
            checkpoint.save(folder, {f.name: getattr(judge, f.name) for f in fields(cls)})
        except OSError as error:
            log.warning(f"{folder} cannot be written ({error}): the judge will have to be made again")
        return judge

    @classmethod
    def learn(cls, name: str, train: Dataset, test: Dataset) -> "FeatureClassifier":
        """Train the network, its weights the same to the bit each time, and look at the real images with it."""
        network = _untrained(train)
        labelled = train.labels is not None and len(train.classes) > 1
        if labelled:
            log.warning(f"training the judge of {train.name}, once: half a minute or so")
            _train(network, train)
        features, _ = _look(network, train.images)
        order = shuffled(len(test))[:KEPT]
        test_features, logits = _look(network, test.images[order])
        accuracy = None
        if labelled and test.labels is not None:
            accuracy = (logits.argmax(1) == test.labels[order]).double().mean().item()
        probes = test.images[order[:PROBES]]
        return cls(
            name=name,
            network={key: value.detach() for key, value in network.state_dict().items()},
            accuracy=accuracy,
            mean=features.double().mean(0),
            covariance=features.double().T.cov() if len(features) > 1 else torch.zeros(2 * (FEATURES,)).double(),
            shares=torch.zeros(0) if train.labels is None else _shares(train.labels, len(train.classes)),
            reference=features[shuffled(len(train))[:KEPT]].clone(),
            test_features=test_features,
            test_nearest_distances=nearest(probes, train.images)[0],
        )

    def look(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 128) features and (N, K) logits of images (N, C, H, W) in bytes."""
        with torch.device("meta"):
            network = lenet(tuple(images.shape[1:]), len(self.network["6.bias"]))
        network.load_state_dict(self.network, assign=True)
        return _look(network, images)

    def classify(self, features: Tensor) -> Tensor:
        """(N, 128) -> logits (N, K)."""
        return F.linear(features, self.network["6.weight"], self.network["6.bias"])


def lenet(shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """Images (N, C, H, W) -> (N, K); strides instead of pooling, which would take most of the time."""
    channels, height, width = shape
    quarter = ((height + 3) // 4) * ((width + 3) // 4)
    return nn.Sequential(
        nn.Conv2d(channels, 32, 5, stride=2, padding=2), nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Sequential(nn.Linear(64 * quarter, FEATURES), nn.ReLU()),
        nn.Linear(FEATURES, classes),
    )  # fmt: skip


def shuffled(count: int) -> Tensor:
    """(count,) indices in an order that is always the same: real images may lie sorted, by difficulty even."""
    return torch.randperm(count, generator=torch_stream(0, "order of real images"))


def _untrained(train: Dataset) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(VERSION)
        return lenet(tuple(train.images.shape[1:]), max(1, len(train.classes)))


def _train(network: nn.Sequential, train: Dataset) -> None:
    """On one CPU thread, because sums over several depend on their number."""
    assert train.labels is not None
    stream, threads = torch_stream(VERSION, "judge"), torch.get_num_threads()
    batch = min(BATCH, len(train))
    steps = max(STEPS, EPOCHS * len(train) // batch)
    epochs = -(-steps * batch // len(train))
    order = torch.cat([torch.randperm(len(train), generator=stream) for _ in range(epochs)])
    optimizer = torch.optim.Adam(network.parameters(), LR)
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
def _look(network: nn.Sequential, images: Tensor) -> tuple[Tensor, Tensor]:
    features = torch.cat([network[:-1](_floats(part)) for part in torch.split(images, CHUNK_SIZE)])
    return features, network[-1](features)


def _floats(images: Tensor) -> Tensor:
    return images.float().div_(255).contiguous(memory_format=torch.channels_last)


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


def _word(name: str) -> str:
    """`mnist`, and of a folder its last name."""
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in Path(name.removeprefix("folder:")).name)
