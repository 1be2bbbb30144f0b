"""What a code is worth: how well simple classifiers do on it, and a network that starts from its encoder.

Linear probes: Alain & Bengio 2017, arXiv:1610.01644. Training a classifier from an encoder that was trained without
labels: Hinton & Salakhutdinov 2006. All figures are shares of the test images that are classified right.
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
from rlgen.core.schedule import cosine
from rlgen.core.seeds import initial_weights, torch_stream
from rlgen.generative.autoencoders.latent import CHUNK_SIZE, Latent
from rlgen.generative.base import Generative

LABELS = (100, 1_000)  # labelled images a network learns from, besides all
NEIGHBOURS = 5  # that vote
CHUNK = 200  # test images whose distances to all others are taken at once
DECAY = 1e-3  # weight of the squared weights of a linear classifier, of features with variance 1
SWEEPS = 200  # of L-BFGS, at most
EPOCHS, STEPS = 5, 1_000  # a network sees its images so often, or takes so many steps where that is longer
BATCH, LR = 128, 1e-3  # images in each step, and its size

Loss = Callable[[Tensor, Tensor], Tensor]  # scores (N, K) and labels (N,) -> a number


def probe(
    model: Generative, images: int = 10_000, seed: int = 0, more: Callable[[int], object] = lambda done: None
) -> dict[str, Any]:
    """Test accuracies: of classifiers on pixels and on codes of `images` training images, and of networks.

    Returns {"images", "test_images", "classifiers": {name: {"pixels", "code"}}, "networks": {labels: {"frozen",
    "tuned", "scratch"}}}: the encoder as it is with a linear layer on its code, trained further, or trained anew.
    Codes are of the images as they are, whatever their likelihood made of them. `more` hears of each of the PARTS done.
    """
    if not isinstance(model, Latent):
        raise UserError("a probe looks at codes, which only autoencoders have: ae and vae")
    if model.conditional:
        raise UserError("the encoder of a conditional model is told the label: its code cannot be probed")
    train, test = model.load("train"), model.load("test")
    if train.labels is None or test.labels is None:
        raise UserError(f"{model.task} has no labels: put the images of each class into a folder of its own")
    order = torch.randperm(len(train), generator=torch_stream(seed, "probed images"))
    some = order[:images]
    x, y, x_test, y_test = train.images / 255, train.labels, test.images / 255, test.labels
    code, code_test = model.encode(x), model.encode(x_test)
    kinds = len(train.classes)
    classifiers = {}
    for name, classify in CLASSIFIERS.items():
        classifiers[name] = {
            "pixels": accuracy(classify(x[some].flatten(1), y[some], x_test.flatten(1), kinds), y_test),
            "code": accuracy(classify(code[some], y[some], code_test, kinds), y_test),
        }
        more(1)
    networks = {}
    for labelled in sorted({*(n for n in LABELS if n < len(train)), len(train)}):
        few = order[:labelled]
        frozen = softmax(code[few], y[few], code_test, kinds)
        networks[labelled] = {
            "frozen": accuracy(frozen, y_test),
            "tuned": accuracy(_network(model, x[few], y[few], x_test, kinds, seed, anew=False), y_test),
            "scratch": accuracy(_network(model, x[few], y[few], x_test, kinds, seed, anew=True), y_test),
        }
        more(1)
    return {"images": len(some), "test_images": len(test), "classifiers": classifiers, "networks": networks}


def accuracy(predicted: Tensor, labels: Tensor) -> float:
    """Share of (N,) that are right."""
    return (predicted == labels).double().mean().item()


def softmax(x: Tensor, y: Tensor, x_test: Tensor, classes: int) -> Tensor:
    """Classes (M,) of x_test (M, F) by multinomial logistic regression on x (N, F) and y (N,)."""
    return _linear(x, y, x_test, classes, F.cross_entropy)


def svm(x: Tensor, y: Tensor, x_test: Tensor, classes: int) -> Tensor:
    """Classes (M,) by one linear support vector machine for each class against the rest, with squared hinges."""

    def hinge(scores: Tensor, labels: Tensor) -> Tensor:
        sides = 2 * F.one_hot(labels, classes).to(scores) - 1
        return (1 - sides * scores).clamp(min=0).square().sum(1).mean()

    return _linear(x, y, x_test, classes, hinge)


def neighbours(x: Tensor, y: Tensor, x_test: Tensor, classes: int, norm: float) -> Tensor:
    """Classes (M,) by the vote of the nearest of x (N, F) in the L1 or L2 `norm`; of a tie, that with the nearest."""
    k = min(NEIGHBOURS, len(x))
    found = []
    for part in torch.split(x_test, CHUNK):
        near = torch.cdist(part, x, norm).topk(k, largest=False).indices  # nearest first
        votes = F.one_hot(y[near], classes) * (1 + 1e-3 * 0.5 ** torch.arange(k))[:, None]
        found.append(votes.sum(1).argmax(1))
    return torch.cat(found)


CLASSIFIERS: dict[str, Callable[[Tensor, Tensor, Tensor, int], Tensor]] = {
    "softmax": softmax,
    "linear SVM": svm,
    f"{NEIGHBOURS} neighbours, L1": partial(neighbours, norm=1.0),
    f"{NEIGHBOURS} neighbours, L2": partial(neighbours, norm=2.0),
}
PARTS = len(CLASSIFIERS) + len(LABELS) + 1  # rows of what a probe tells, at most


def _linear(x: Tensor, y: Tensor, x_test: Tensor, classes: int, loss: Loss) -> Tensor:
    """The convex problem min loss(x W + b, y) + decay |W|² / 2 on standardised features, to its end by L-BFGS."""
    mean, deviation = x.mean(0), x.std(0, correction=0)
    scale = torch.where(deviation > 1e-3, 1 / deviation.clamp(min=1e-3), 0)  # what never changes says nothing
    x, x_test = (x - mean) * scale, (x_test - mean) * scale
    weight = torch.zeros(x.shape[1], classes, requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=SWEEPS, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimizer.zero_grad()
        value = loss(x @ weight + bias, y) + DECAY / 2 * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value.item()

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return (x_test @ weight + bias).argmax(1).detach()


def _network(model: Latent, x: Tensor, y: Tensor, x_test: Tensor, classes: int, seed: int, anew: bool) -> Tensor:
    """Classes (M,) by the encoder and a linear layer on its code, both trained; the encoder forgets first if `anew`."""
    with initial_weights(seed):
        coder = copy.deepcopy(model.ema).requires_grad_(True)
        if anew:
            coder.apply(_forget)
        head = nn.Linear(model.config.latent, classes).to(model.device)

    def scores(images: Tensor) -> Tensor:
        return cast(Tensor, head(model.latent_code(coder, images.to(model.device), None)))

    steps = max(STEPS, EPOCHS * len(x) // BATCH)
    weights = [*coder.encoder.parameters(), *head.parameters()]
    optimizer, stream = torch.optim.Adam(weights, LR), torch_stream(seed, "batches")
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = cosine(LR, 0, steps, step)
        index = torch.randint(len(x), (min(BATCH, len(x)),), generator=stream)
        descend(optimizer, F.cross_entropy(scores(x[index]), y[index].to(model.device)))
    with torch.no_grad():
        return torch.cat([scores(part).argmax(1).cpu() for part in torch.split(x_test, CHUNK_SIZE)])


def _forget(module: nn.Module) -> None:
    """Draw the weights anew."""
    if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        module.reset_parameters()
