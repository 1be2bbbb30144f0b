"""What a network predicts for the pixels of an image: distributions, nats, and the measured receptive field.

Shapes: N images, C channels, K outputs per channel, L levels of a channel, height H, width W.
"""

import torch
from torch import Tensor

from rlgen.generative.autoregressive.causal import PixelNetwork
from rlgen.generative.likelihoods import Likelihood

GRADIENTS = 64  # images of a backward pass, each for the gradient of one output, to bound time and memory


def pixel_outputs(network: PixelNetwork, x: Tensor, y: Tensor | None) -> Tensor:
    """The outputs for each channel of each pixel of images (N, C, H, W), labels (N,): (N, C, H, W, K)."""
    out: Tensor = network(x, y)
    return out.reshape(len(x), x.shape[1], -1, *x.shape[2:]).movedim(2, -1)


def pixel_nats(network: PixelNetwork, likelihood: Likelihood, x: Tensor, y: Tensor | None) -> Tensor:
    """-log p(xᵢ | x₁, …, xᵢ₋₁) in nats of each channel of each pixel: (N, C, H, W). Its sum is -log p(x)."""
    with torch.no_grad():
        return -likelihood.log_prob(pixel_outputs(network, x, y), x)


def level_probabilities(
    network: PixelNetwork, likelihood: Likelihood, x: Tensor, y: Tensor | None, row: int, column: int
) -> Tensor:
    """p(level | earlier values) of each channel of one pixel of an image (1, C, H, W): (C, L)."""
    with torch.no_grad():
        out = pixel_outputs(network, x, y)[0, :, row, column].unsqueeze(1)  # (C, 1, K)
        levels = torch.linspace(0, 1, likelihood.levels, dtype=x.dtype, device=x.device)
        shape = len(out), len(levels)
        return likelihood.log_prob(out.expand(*shape, -1), levels.expand(shape)).exp()


def receptive_field(network: PixelNetwork, x: Tensor, y: Tensor | None, row: int, column: int) -> Tensor:
    """Mean over outputs and images of |∂ output of the pixel / ∂ input|, summed over input channels: (H, W).

    It is 0 exactly where no path of the network leads from the input to the outputs of the pixel, or where every path
    leads through a ReLU that is off in all of the images x (N, C, H, W). Of more outputs than `GRADIENTS`, so many
    evenly spaced ones are measured. The weights collect no gradients.
    """
    outputs = pixel_outputs(network, x[:1].detach(), None if y is None else y[:1]).detach()[0, :, row, column]
    measured = torch.linspace(0, outputs.numel() - 1, min(GRADIENTS, outputs.numel())).round().long()
    image, which = (part.flatten() for part in torch.meshgrid(torch.arange(len(x)), measured, indexing="ij"))
    total = x.new_zeros(x.shape[2:])
    for pairs in torch.split(torch.arange(len(image)), GRADIENTS):
        inputs = x[image[pairs]].detach().requires_grad_()  # the output of a copy depends on no other copy
        labels = None if y is None else y[image[pairs]]
        with torch.enable_grad():
            out = pixel_outputs(network, inputs, labels)[:, :, row, column].flatten(1)  # (n, C · K)
            chosen = out[torch.arange(len(out)), which[pairs]].sum()
        (gradient,) = torch.autograd.grad(chosen, inputs)
        total += gradient.abs().sum((0, 1))
    return total / len(image)


def earlier(height: int, width: int, row: int, column: int) -> Tensor:
    """(H, W) bool: the pixels before one in raster order."""
    index = torch.arange(height * width).view(height, width)
    return index < row * width + column


def blind_spot(field: Tensor, row: int, column: int) -> Tensor:
    """(H, W) bool: earlier pixels of gradient 0 in a receptive field, within the rows and columns that the field spans.

    Further away no input is in the field because the network has too few layers.
    """
    seen = field > 0
    rows, columns = (seen.any(dim).nonzero().flatten() for dim in (1, 0))
    within = torch.zeros_like(seen)
    if len(rows):
        within[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return within & earlier(len(field), field.shape[1], row, column).to(seen.device) & ~seen
