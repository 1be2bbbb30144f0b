"""Networks without memory for their weights, and what they cost."""

import torch
from torch import nn

from rlgen.networks import build
from rlgen.networks.fast import Whitening
from rlgen.networks.settings import NetworkSettings

IMAGENET, CIFAR = (3, 224, 224), (3, 32, 32)


def network(name, shape=IMAGENET, classes=1000, **options):
    with torch.device("meta"):
        return build(name, shape, classes, NetworkSettings(name, **options))


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def weights(module):
    """Parameters of the layers with a weight, one number per layer, in order."""
    return [parameters(layer) for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]


def multiply_adds(module, shape):
    """Of convolutions and linear layers, for one image."""
    count, hooks = [], []
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear | Whitening):
            hook = layer.register_forward_hook(
                lambda layer, x, y: count.append(y.numel() * layer.weight.shape[1:].numel())
            )
            hooks.append(hook)
    sides(module, shape)
    for hook in hooks:
        hook.remove()
    return sum(count)


def sides(module, shape):
    """Sides of the outputs of the blocks that are maps, by block."""
    found, x = {}, torch.empty(1, *shape, device="meta")
    module.eval()
    for name, block in module.body.named_children():
        x = block(x)
        if x.dim() == 4:
            found[name] = x.shape[-1]
    module.head(x)
    return found
