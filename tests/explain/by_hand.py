"""Small networks with a `body` of blocks and a `head`, as explanations take them."""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    """Blocks by name, then the head."""

    def __init__(self, head, **blocks):
        super().__init__()
        self.body, self.head = nn.Sequential(OrderedDict(blocks)), head

    def features(self, x):
        return self.body(x)

    def forward(self, x):
        return self.head(self.features(x))


class FunctionalReLU(nn.Module):
    def forward(self, x):
        return F.relu(x)


class Shortcut(nn.Module):
    """x + layer(relu(x)): the input of the ReLU has a second user."""

    def __init__(self, layer, relu):
        super().__init__()
        self.layer, self.relu = layer, relu

    def forward(self, x):
        return x + self.layer(self.relu(x))


def linear(shape=(1, 6, 6), classes=3):
    size = torch.Size(shape).numel()
    return Net(nn.Linear(size, classes), flatten=nn.Flatten()).eval()


def convolutional(channels=1, classes=3, relu=nn.ReLU, bias=True, side=8):
    """Two convolutions with pooling between them, global average pooling, a linear head."""
    return Net(
        nn.Linear(6, classes, bias=bias),
        conv1=nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1, bias=bias), relu()),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Sequential(nn.Conv2d(4, 6, 3, padding=1, bias=bias), relu(), nn.AdaptiveAvgPool2d(1)),
        flatten=nn.Flatten(),
    ).eval()
