import pytest
import torch

from rlgen.core.seeds import torch_stream
from rlgen.generative.autoencoders.codebook import Codebook, perplexity


def codebook(size=5, dim=3, decay=0.0):
    torch.manual_seed(0)
    return Codebook(size, dim, decay)


def test_the_nearest_codes():
    book, z = codebook(), torch.randn(4, 3, 2, 5)
    k = book.nearest(z)
    away = torch.cdist(z.movedim(1, -1).reshape(-1, 3), book.codes)
    assert torch.equal(k.flatten(), away.argmin(1))
    e = book.lookup(k)
    assert e.shape == z.shape
    assert torch.equal(e[2, :, 1, 3], book.codes[k[2, 1, 3]])


def test_codes_become_the_mean_of_the_points_assigned_to_them():
    book, z = codebook(), torch.randn(4, 3, 2, 5)
    k = torch.arange(40).view(4, 2, 5) % 4  # the last code is never used
    book.update(z, k, torch_stream(0, "test"))
    points = z.movedim(1, -1).reshape(-1, 3)
    torch.testing.assert_close(book.codes[1], points[1::4].mean(0))
    assert (points == book.codes[4]).all(1).any()  # it is one of the points now
    before = book.codes.clone()
    book.decay = 0.9
    book.update(z + 10, k, torch_stream(0, "test"))
    torch.testing.assert_close(book.codes[1], before[1] + 1)


def test_an_unused_code_is_reinitialised_below_half_a_use_per_batch():
    book, z = codebook(decay=0.99), torch.randn(4, 3, 2, 5)
    stream = torch_stream(0, "test")
    book.update(z, torch.zeros(4, 2, 5, dtype=torch.long), stream)  # all counts are 0: every code is re-initialised
    points, code = z.movedim(1, -1).reshape(-1, 3), book.codes[3].clone()
    assert (points == code).all(1).any()
    for _ in range(68):  # 0.99^69 is the last power that is not below a half
        book.update(z, torch.zeros(4, 2, 5, dtype=torch.long), stream)
        torch.testing.assert_close(book.codes[3], code)
    for _ in range(9):
        book.update(z + 1, torch.zeros(4, 2, 5, dtype=torch.long), stream)
    assert not torch.allclose(book.codes[3], code)


def test_perplexity_is_the_effective_number_of_codes():
    assert perplexity(torch.full((8,), 5)).item() == pytest.approx(8)
    assert perplexity(torch.tensor([0, 9, 0])).item() == pytest.approx(1)
    assert perplexity(torch.tensor([3, 3, 0])).item() == pytest.approx(2)
