"""Figures of course notes beside the counts."""

import torch

from rlgen.networks.corrections import corrections, inception_weights
from rlgen.networks.summary import summarize
from tests.networks.test_summary import image, vgg


def test_vgg16_has_138_million_weights_and_15_million_activations():
    with torch.device("meta"):
        table = summarize(vgg(2, 2, 3, 3, 3), image(3, 224, 224), name="vgg16")
    weights, activations = corrections(table)
    assert "128M" in weights
    assert "138,357,544" in weights
    assert "24M" in activations
    assert "15,237,608 (61 MB)" in activations


def test_networks_without_an_error_in_the_notes_have_no_correction():
    assert corrections(summarize(torch.nn.Linear(3, 2), torch.zeros(1, 3), name="linear")) == []


def test_inception_3a_by_its_convolutions():
    def weights(before, after, kernel):
        return sum(p.numel() for p in torch.nn.Conv2d(before, after, kernel).parameters())

    naive = weights(192, 64, 1) + weights(192, 128, 3) + weights(192, 32, 5) + weights(192, 32, 1)
    reduced = naive - weights(192, 128, 3) - weights(192, 32, 5)
    reduced += weights(192, 96, 1) + weights(96, 128, 3) + weights(192, 16, 1) + weights(16, 32, 5)
    assert reduced == 163_696
    assert inception_weights(192, 64, 96, 128, 16, 32, 32) == (naive, reduced)
    assert round(1 - reduced / naive, 2) == 0.58
