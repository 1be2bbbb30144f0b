"""The table of a network as text."""

import re

import torch
from torch import nn

from rlgen.networks.summary import summarize
from rlgen.report.network_table import amount, lines, totals


class Small(nn.Module):
    """Two blocks and a head, named as in the networks for images."""

    def __init__(self):
        super().__init__()
        block = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.body = nn.Sequential()
        self.body.add_module("first", block)
        self.body.add_module("pool", nn.MaxPool2d(2))
        self.body.add_module("features", nn.Flatten())
        self.head = nn.Linear(64, 3)

    def forward(self, x):
        return self.head(self.body(x))


def table(**options):
    network = Small()
    network.body.first.requires_grad_(not options.get("frozen"))
    return summarize(network, torch.zeros(1, 1, 8, 8), name="small")


def test_rows_subtotals_and_arithmetic():
    found = lines(table(), 200)
    columns = [re.split(r"  +", line) for line in found]
    assert columns[0] == ["layer", "type", "output", "parameters", "share", "MACs", "field", "floats"]
    assert columns[1] == ["input", "1x8x8", "64"]
    assert columns[2] == ["first", "4x8x8", "48", "19.8%", "2.304 k", "3", "512"]  # convolution and normalisation
    assert columns[3][1:6] == ["0", "Conv2d 3x3", "4x8x8", "40", "16.5%"]
    assert columns[3][-1] == "8 + 2·1 - 3 + 1 = 8; 3²·1·4 + 4 = 40 parameters; 3²·1·4·8² = 2,304 MACs"
    assert columns[-2][:2] == ["head", "Linear"]
    assert "all" in columns[-2]
    assert found[-1] == "1 layers without parameters that change no shape are not listed"
    ends = {line.index("parameters") + len("parameters") for line in found[:1]}
    assert {re.search(r" (48|40|195)  ", line).end() - 2 for line in (found[2], found[3], found[-2])} == ends


def test_arithmetic_goes_below_where_the_terminal_is_narrow():
    wide, narrow = lines(table(), 200), lines(table(), 100)
    assert max(map(len, narrow)) <= 100
    assert narrow[narrow.index(next(x for x in narrow if "Conv2d" in x)) + 1].strip().startswith("8 + 2·1")
    assert "\n".join(narrow).split() == "\n".join(wide).split()


def test_totals():
    rows = dict(totals(table()))
    assert rows["parameters"] == "243, all trainable"
    assert rows["MACs"].startswith("2.496 k per input")
    assert rows["field"].startswith("4x4 pixels")
    assert rows["floats"].startswith("643 of activations, 2.572 kB")
    assert dict(totals(table(frozen=True)))["parameters"] == "243, 48 of them frozen"


def test_amounts():
    assert [amount(n) for n in (999, 1_000, 15_470_264_320)] == ["999", "1 k", "15.47 G"]
