"""Accuracy of classifiers on the codes of an autoencoder, and of networks that start from its encoder.

Linear probes: Alain & Bengio 2017, arXiv:1610.01644. Fine-tuning of an encoder trained without labels: Hinton &
Salakhutdinov 2006. Accuracies are shares of the test images.
"""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlgen.core.algorithm import descend
from rlgen.core.errors import UserError
from rlgen.core.images import from_bytes
from rlgen.core.optim import eager
from rlgen.core.schedule import cosine
from rlgen.core.seeds import initial_weights, torch_stream
from rlgen.generative.autoencoders.latent import CHUNK_SIZE, LatentModel
from rlgen.generative.base import Generative

LABELS = (100, 1_000)  # numbers of labelled images for the networks, besides all
NEIGHBOURS = 5  # that vote
NEIGHBOUR_CHUNK = 200  # test images whose distances are computed at once, to bound the memory
DECAY = 1e-3  # weight of the squared weights of a linear classifier of standardised features
MAX_ITERATIONS = 200  # of L-BFGS
EPOCHS, STEPS = 5, 1_000  # of the training of a network: so many epochs or steps, whichever is longer
BATCH, LR = 128, 1e-3

Loss = Callable[[Tensor, Tensor], Tensor]  # scores (N, K), labels (N,) -> ()
Tick = Callable[[float], object]  # called with the finished share of a part, 0 to 1


def probe(
    model: Generative, images: int = 10_000, seed: int = 0, progress: Callable[[int], object] = lambda percent: None
) -> dict[str, Any]:
    """Test accuracies of classifiers on the pixels and codes of `images` training images, and of networks.

    Returns {"images", "test_images", "classifiers": {name: {"pixels", "code"}}, "networks": {labels: {"frozen",
    "tuned", "scratch"}}}: a linear layer on the code, encoder and linear layer trained together, and the same from
    random weights. Codes are of grey images, also where the likelihood binarises. `progress` is called with the
    finished percent since the last call. Raises UserError for a model without codes or labels.
    """
    if not isinstance(model, LatentModel):
        raise UserError("only autoencoders have codes to classify: ae and vae")
    if model.conditional:
        raise UserError("the encoder of a conditional model takes the label as input: its codes cannot be classified")
    train, test = model.load("train"), model.load("test")
    if train.labels is None or test.labels is None:
        raise UserError(f"{model.task} has no labels: put the images of each class into a folder of its own")
    order = torch.randperm(len(train), generator=torch_stream(seed, "probed images"))
    subset = order[:images]
    x, y, x_test, y_test = from_bytes(train.images), train.labels, from_bytes(test.images), test.labels
    code, code_test = model.encode(x), model.encode(x_test)
    classes = len(train.classes)
    counts = sorted({*(n for n in LABELS if n < len(train)), len(train)})
    part = _Parts(2 * len(CLASSIFIERS) + 3 * len(counts), progress).next
    classifiers = {}
    for name, classify in CLASSIFIERS.items():
        on_pixels = classify(x[subset].flatten(1), y[subset], x_test.flatten(1), classes, part())
        on_code = classify(code[subset], y[subset], code_test, classes, part())
        classifiers[name] = {"pixels": accuracy(on_pixels, y_test), "code": accuracy(on_code, y_test)}
    networks = {}
    for count in counts:
        few = order[:count]
        frozen = softmax(code[few], y[few], code_test, classes, part())
        tuned = _network(model, x[few], y[few], x_test, classes, seed, False, part())
        scratch = _network(model, x[few], y[few], x_test, classes, seed, True, part())
        predictions = {"frozen": frozen, "tuned": tuned, "scratch": scratch}
        networks[count] = {name: accuracy(predicted, y_test) for name, predicted in predictions.items()}
    part()
    return {"images": len(subset), "test_images": len(test), "classifiers": classifiers, "networks": networks}


def accuracy(predicted: Tensor, labels: Tensor) -> float:
    """Share of equal entries of two (N,)."""
    return (predicted == labels).double().mean().item()


def softmax(x: Tensor, y: Tensor, x_test: Tensor, classes: int, tick: Tick = lambda share: None) -> Tensor:
    """Classes (M,) of x_test (M, F) by multinomial logistic regression on x (N, F) with labels y (N,)."""
    return _linear(x, y, x_test, classes, F.cross_entropy, tick)


def svm(x: Tensor, y: Tensor, x_test: Tensor, classes: int, tick: Tick = lambda share: None) -> Tensor:
    """Classes (M,) by linear support vector machines, one class against the rest, with squared hinge losses."""

    def hinge(scores: Tensor, labels: Tensor) -> Tensor:
        sides = 2 * F.one_hot(labels, classes).to(scores) - 1
        return (1 - sides * scores).clamp(min=0).square().sum(1).mean()

    return _linear(x, y, x_test, classes, hinge, tick)


def neighbours(
    x: Tensor, y: Tensor, x_test: Tensor, classes: int, tick: Tick = lambda share: None, *, norm: float
) -> Tensor:
    """Classes (M,) by a vote of the nearest images in the L1 or L2 `norm`; the nearest one decides a tie."""
    k = min(NEIGHBOURS, len(x))
    predicted, chunks = [], torch.split(x_test, NEIGHBOUR_CHUNK)
    for i, chunk in enumerate(chunks):
        index = torch.cdist(chunk, x, norm).topk(k, largest=False).indices  # (n, k), the nearest first
        votes = F.one_hot(y[index], classes) * (1 + 1e-3 * 0.5 ** torch.arange(k))[:, None]
        predicted.append(votes.sum(1).argmax(1))
        tick((i + 1) / len(chunks))
    return torch.cat(predicted)


CLASSIFIERS: dict[str, Callable[[Tensor, Tensor, Tensor, int, Tick], Tensor]] = {
    "softmax": softmax,
    "linear SVM": svm,
    f"{NEIGHBOURS} neighbours, L1": partial(neighbours, norm=1.0),
    f"{NEIGHBOURS} neighbours, L2": partial(neighbours, norm=2.0),
}


def _linear(x: Tensor, y: Tensor, x_test: Tensor, classes: int, loss: Loss, tick: Tick) -> Tensor:
    """Classes (M,) by the optimum of the convex problem min loss(x W + b, y) + decay |W|² / 2, x standardised."""
    mean, deviation = x.mean(0), x.std(0, correction=0)
    scale = torch.where(deviation > 1e-3, 1 / deviation.clamp(min=1e-3), 0)  # constant features are left out
    x, x_test = (x - mean) * scale, (x_test - mean) * scale
    weight = torch.zeros(x.shape[1], classes, requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimizer = eager.LBFGS([weight, bias], max_iter=MAX_ITERATIONS, line_search_fn="strong_wolfe")
    evaluations = 0

    def closure() -> float:
        nonlocal evaluations
        evaluations += 1
        tick(evaluations / MAX_ITERATIONS)
        optimizer.zero_grad()
        value = loss(x @ weight + bias, y) + DECAY / 2 * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value.item()

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return (x_test @ weight + bias).argmax(1).detach()


def _network(
    model: LatentModel, x: Tensor, y: Tensor, x_test: Tensor, classes: int, seed: int, scratch: bool, tick: Tick
) -> Tensor:
    """Classes (M,) by the encoder and a linear layer, both trained; from random weights of the encoder if `scratch`."""
    with initial_weights(seed):
        coder = copy.deepcopy(model.ema).requires_grad_(True)
        if scratch:
            coder.apply(_reset)
        head = nn.Linear(model.config.latent, classes).to(model.device)

    def scores(images: Tensor) -> Tensor:
        return cast(Tensor, head(model.latent_code(coder, images.to(model.device), None)))

    steps = max(STEPS, EPOCHS * len(x) // BATCH)
    weights = [*coder.encoder.parameters(), *head.parameters()]
    optimizer, stream = eager.Adam(weights, LR), torch_stream(seed, "batches")
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = cosine(LR, 0, steps, step)
        index = torch.randint(len(x), (min(BATCH, len(x)),), generator=stream)
        descend(optimizer, F.cross_entropy(scores(x[index]), y[index].to(model.device)))
        tick((step + 1) / steps)
    with torch.no_grad():
        return torch.cat([scores(chunk).argmax(1).cpu() for chunk in torch.split(x_test, CHUNK_SIZE)])


def _reset(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        module.reset_parameters()


class _Parts:
    """Progress in percent over `count` parts of a task, each with its own share from 0 to 1."""

    def __init__(self, count: int, progress: Callable[[int], object]) -> None:
        self.count, self.progress = count, progress
        self.started = self.reported = 0

    def next(self) -> Tick:
        """The callback of the next part; the parts before are finished."""
        self.started += 1
        self.report(0.0)
        return self.report

    def report(self, share: float) -> None:
        """The finished share of the current part."""
        percent = int(100 * (self.started - 1 + min(1.0, share)) / self.count)
        if percent > self.reported:
            self.progress(percent - self.reported)
            self.reported = percent
