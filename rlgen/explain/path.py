"""Integrated gradients and SmoothGrad, as Captum computes them: the extra `explain`.

Sundararajan et al. 2017, arXiv:1703.01365. Smilkov et al. 2017, arXiv:1706.03825. Captum: Kokhlikyan et al. 2020,
arXiv:2009.07896.
"""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from rlgen.core.errors import UserError

STEPS = 64  # points of the path between baseline and image
SAMPLES, NOISE = 32, 0.15  # noisy copies of an image, and their noise as a share of the range of its pixels
CHUNK_SIZE = 256  # images at once, to bound the memory


def integrated_gradients(network: nn.Module, x: Tensor, target: Tensor, baseline: Tensor) -> Tensor:
    """(x - b) ∫ ∂ logit / ∂ x (b + t (x - b)) dt over t in [0, 1]: (N, C, H, W) -> (N, C, H, W).

    The sum over an image is its logit less that of the baseline, the colour b (C,) everywhere.
    """
    start = baseline.to(x).view(1, -1, 1, 1).expand_as(x)
    method = _captum().IntegratedGradients(network)
    found: Tensor = method.attribute(x, start, target, n_steps=STEPS, internal_batch_size=CHUNK_SIZE)
    return found.detach().to(x.dtype)


def smooth_gradient(network: nn.Module, x: Tensor, target: Tensor, seed: int) -> Tensor:
    """The mean saliency of copies of an image with Gaussian noise: (N, C, H, W) -> (N, C, H, W)."""
    captum = _captum()
    method = captum.NoiseTunnel(captum.Saliency(network))
    deviation = NOISE * float(x.max() - x.min())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        found: Tensor = method.attribute(
            x,
            nt_type="smoothgrad",
            nt_samples=SAMPLES,
            nt_samples_batch_size=8,
            stdevs=deviation,
            target=target,
            abs=False,
        )
    return found.detach()


def _captum() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import captum.attr
    except ImportError:
        raise UserError("this method is Captum's: `pip install 'rlgen[explain]'`") from None
    return captum.attr
