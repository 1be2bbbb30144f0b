"""Small networks of every kind, for the tests of this folder."""

from dataclasses import replace

import torch

from rlgen.core.settings import Setup
from rlgen.generative import settings
from rlgen.generative.autoregressive.pixelcnn import PixelCNN
from rlgen.generative.autoregressive.pixelrnn import PixelRNN

PYRAMID = settings.PixelCNN(width=6, width_multiplier=2, blocks=2)
CNN = replace(PYRAMID, levels=1)
RNN = settings.PixelRNN(width=6, layers=2)
GATED = replace(CNN, gated=True)
DIAGONAL = replace(RNN, scan="diagonal")
CASES = {
    "masked": CNN,
    "masked, kernel 5": replace(CNN, kernel=5, first_kernel=3),
    "masked, bottleneck": replace(CNN, bottleneck=True),
    "masked, three levels": PYRAMID,
    "gated": GATED,
    "gated, kernel 5": replace(GATED, kernel=5, first_kernel=3),
    "gated, two levels": replace(PYRAMID, gated=True, levels=2),
    "gated, three levels": replace(PYRAMID, gated=True),
    "row": RNN,
    "diagonal": DIAGONAL,
}


def build_network(config, shape=(1, 5, 6), outputs=1, classes=0, dtype=torch.float64):
    """A network whose parameters are all perturbed, as some are initially 0 or small, which hides dependencies."""
    model = object.__new__(PixelRNN if isinstance(config, settings.PixelRNN) else PixelCNN)
    model.config, model.shape = config, shape
    torch.manual_seed(0)
    network = model.build(outputs, classes).to(dtype)
    perturb(network)
    return network


def perturb(module):
    for p in module.parameters():
        p.data += 0.15 * torch.randn_like(p)


def binary_images(count, shape, dtype=torch.float64):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(1)).to(dtype).round()


def dependencies(network, shape, y=None):
    """d output / d input for each pair of values, both in raster order: (row, column, channel)."""
    x = binary_images(1, shape).requires_grad_()
    out = network(x, y)[0].permute(1, 2, 0).flatten()
    rows = [torch.autograd.grad(value, x, retain_graph=True)[0][0].permute(1, 2, 0).flatten() for value in out]
    return torch.stack(rows)


def build_model(likelihood="bernoulli", task="digits", seed=0, kind=PixelCNN, **given):
    small = {"width": 4, "first_kernel": 3, "head_width": 8, "components": 2}
    if kind is PixelCNN:
        small |= {"width_multiplier": 2, "levels": 2, "blocks": 2}
    return kind(task, kind.Config(**{**small, "likelihood": likelihood, **given}), Setup(seed=seed, threads=1))
