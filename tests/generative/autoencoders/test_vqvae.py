import itertools

import pytest
import torch
from PIL import Image

from rlgen.core.errors import DataError, UserError
from rlgen.core.seeds import torch_stream
from rlgen.core.settings import Setup
from rlgen.generative.autoencoders import vqvae
from rlgen.generative.autoencoders.vqvae import VQVAE
from rlgen.generative.autoregressive.base import nll
from rlgen.generative.autoregressive.cache import incremental_mode

SMALL = {"batch": 50, "width": 4, "codebook_size": 3, "code_dim": 2, "prior_width": 6, "prior_blocks": 1}


def build(seed=0, task="digits", **settings):
    return VQVAE(task, VQVAE.Config(**{**SMALL, **settings}), Setup(seed=seed, threads=1))


def perturbed(model):
    """Random weights everywhere, as initial zeros could hide a fault."""
    torch.manual_seed(0)
    for p in model.ema.parameters():
        p += 0.3 * torch.randn_like(p)
    return model


def test_the_gradient_passes_straight_through_the_codebook(monkeypatch):
    model, tensors = build(commitment=0.0), {}

    def decode(e):
        e.retain_grad()
        tensors["e"] = e
        return real_decode(e)

    def encode(x):
        tensors["z"] = real_encode(x)
        tensors["z"].retain_grad()
        return tensors["z"]

    real_decode, real_encode = model.network.decode, model.network.encode
    monkeypatch.setattr(model.network, "decode", decode)
    monkeypatch.setattr(model.network, "encode", encode)
    before = model.network.codebook.codes.clone()
    model.loss(*model.data.next())[0].backward()
    assert tensors["z"].grad.any()
    assert torch.equal(tensors["z"].grad, tensors["e"].grad)
    codes = {tuple(e.tolist()) for e in tensors["e"].detach().movedim(1, -1).reshape(-1, 2).round(decimals=4)}
    assert codes <= {tuple(e.tolist()) for e in before.round(decimals=4)}


def test_commitment_moves_encoder_outputs_to_their_codes():
    """Only its term of the loss depends on its weight."""
    losses = [build(commitment=weight).loss(*build().data.next()) for weight in (0.0, 0.25, 1.0)]
    (none, reported), (some, _), (more, _) = losses
    assert (some - none).item() == pytest.approx(0.25 * reported["commitment"].item(), rel=1e-3)
    assert (more - none).item() == pytest.approx(reported["commitment"].item(), rel=1e-3)
    assert none.item() == pytest.approx(reported["nats"].item())


def test_the_prior_has_no_gradient_in_the_encoder():
    model = build()
    k = model.network.codebook.nearest(model.network.encode(model.data.next()[0]))
    nll(model.code_likelihood, model.network.prior(model.levels(k)), model.levels(k)).mean().backward()
    assert all(p.grad is not None for p in model.network.prior.parameters())
    assert all(p.grad is None for p in (*model.network.encoder.parameters(), *model.network.decoder.parameters()))


def all_grids(model):
    """Every grid of code indices: (K^4, 2, 2)."""
    return torch.tensor(list(itertools.product(range(model.config.codebook_size), repeat=4))).view(-1, 2, 2)


def test_the_prior_is_a_distribution_over_all_grids():
    model = perturbed(build(conditional=True))
    k = all_grids(model)
    with torch.no_grad():
        out = model.ema.prior.double()(model.levels(k).double(), torch.full((81,), 4))
    probability = (-nll(model.code_likelihood, out, model.levels(k))).exp()
    assert probability.sum().item() == pytest.approx(1, abs=1e-6)
    assert probability.max() > 2 / 81  # not uniform


def test_incremental_predictions_of_codes_are_those_of_whole_grids():
    model = perturbed(build())
    k, prior = all_grids(model), model.ema.prior
    x = model.levels(k)
    with torch.no_grad():
        expected = prior(x)
    got = torch.empty_like(expected)
    with incremental_mode(prior, 2, 2) as cache:
        for cache.row, cache.column in itertools.product(range(2), repeat=2):
            got[..., cache.row, cache.column] = prior(x[..., cache.row, cache.column])
            prior.append_pixel(x[..., cache.row, cache.column])
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_the_evaluation_is_a_bound_on_the_likelihood():
    """An image has 81 possible grids: its probability is the sum over all, at least that of the encoder's grid."""
    model = perturbed(build())
    model.test_set = type(model.test_set)("few", model.test_set.images[:7], None)
    k = all_grids(model)
    with torch.no_grad():
        code = -nll(model.code_likelihood, model.ema.prior(model.levels(k)), model.levels(k)).double()  # (81,)
        e = model.ema.codebook.lookup(k)
        x, _ = model.test_batch(slice(7))
        fits = torch.stack([model.log_likelihood(model.ema, image.expand(81, -1, -1, -1), e) for image in x])  # (7, 81)
    truth = -(fits.double() + code).logsumexp(1).mean().item()
    reported = model.evaluate()["eval_nats"].item()
    assert reported >= truth - 1e-6
    chosen = model.ema.codebook.nearest(model.encode(x)).flatten(1) @ torch.tensor([27, 9, 3, 1])  # of the 81
    assert reported == pytest.approx(-(fits.double() + code)[torch.arange(7), chosen].mean().item(), rel=1e-5)
    one = build(codebook_size=2)  # equal codes: one grid for all images, one of sixteen
    one.ema.codebook.codes[1] = one.ema.codebook.codes[0]
    with torch.no_grad():
        for p in one.ema.prior.parameters():
            p.zero_()
    metrics = one.evaluate()
    assert metrics["eval_code_nats"].item() == pytest.approx(4 * 0.6931472)
    assert metrics["eval_perplexity"] == 1


def test_training_lowers_the_bound():
    model = build(codebook_size=16, width=8, code_dim=4, prior_width=16, lr=5e-3, ema=0.9)
    first = model.evaluate()
    for _ in range(220):
        metrics = model.step()
    last = model.final()
    assert last["eval_reconstruction"] < first["eval_reconstruction"] - 12
    assert last["eval_code_nats"] < 4 * 2.7725887 - 0.8  # of 16 codes without a prior
    assert last["eval_nats"] < last["uniform_nats"]
    assert metrics["perplexity"] > 3
    x, _ = model.test_batch(slice(40))
    again = model.reconstruct(x)
    assert (again - x).square().mean() < 0.8 * (again.flip(0) - x).square().mean()


@pytest.mark.parametrize("likelihood", ["bernoulli", "mixture"])
def test_grids_and_interpolations(likelihood, monkeypatch):
    model = build(conditional=True, likelihood=likelihood)
    model.step()
    metrics, grids = model.evaluate(), model.draw()
    assert grids["samples"].images.shape == (80, 1, 8, 8)
    assert grids["samples"].columns == 10
    assert {"reconstructions", "interpolations"} <= set(grids)
    assert metrics["eval_nats"] == metrics["eval_reconstruction"] + metrics["eval_code_nats"]
    images = model.sample(5, seed=1)
    assert images.shape == (5, 1, 8, 8)
    assert 0 <= images.min() < images.max() <= 1
    assert torch.equal(images, model.sample(5, seed=1, labels=torch.arange(5)))
    assert not torch.equal(images, model.sample(5, seed=2))
    lines = model.interpolate(2, 3)
    ends = torch.randint(len(model.test_set), (2, 2), generator=torch_stream(0, "ends of lines"))
    torch.testing.assert_close(lines[:, 0], model.reconstruct(model.test_batch(ends[0])[0]))
    torch.testing.assert_close(lines[:, -1], model.reconstruct(model.test_batch(ends[1])[0]))
    x, _ = model.test_batch(slice(7))
    whole = model.reconstruct(x)
    monkeypatch.setattr(vqvae, "CHUNK_SIZE", 3)
    torch.testing.assert_close(model.reconstruct(x), whole)


def test_labels_choose_the_class_of_samples():
    model = perturbed(build(conditional=True, codebook_size=16))
    one, other = (model.sample(20, labels=torch.full((20,), label)) for label in (0, 1))
    assert not torch.equal(one, other)
    with pytest.raises(UserError, match="labels from 0 to 9"):
        model.sample(1, labels=torch.tensor([10]))
    with pytest.raises(UserError, match="without --conditional"):
        build().sample(1, labels=torch.tensor([0]))


def test_images_that_do_not_fit_are_refused(tmp_path):
    for number in range(3):
        Image.effect_noise((30, 20), 100).save(tmp_path / f"{number}.png")
    with pytest.raises(DataError, match="give a --size"):
        build(task=f"folder:{tmp_path}")
