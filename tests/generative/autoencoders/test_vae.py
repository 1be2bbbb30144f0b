import copy
import math
from dataclasses import dataclass

import pytest
import torch
from torch import distributions
from torch.distributions import MultivariateNormal, Normal

from rlgen.core.errors import UserError
from rlgen.core.settings import Setup
from rlgen.generative.autoencoders import vae
from rlgen.generative.autoencoders.vae import VAE, importance_bound, kl_divergence, reparameterize
from rlgen.generative.likelihoods import binarised

SMALL = {"batch": 50, "width": 16, "depth": 1, "latent": 4}


def build(seed=0, task="digits", **settings):
    return VAE(task, VAE.Config(**{**SMALL, **settings}), Setup(seed=seed, threads=1))


def test_the_kl_divergence_is_that_of_torch():
    torch.manual_seed(0)
    mean, log_variance = torch.randn(2, 30, 5, dtype=torch.float64)
    expected = distributions.kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0, 1))
    torch.testing.assert_close(kl_divergence(mean, log_variance), expected, atol=1e-6, rtol=0)


def test_nats_are_of_an_image_not_of_a_pixel_or_a_batch(monkeypatch):
    monkeypatch.setattr(vae, "reparameterize", lambda mean, log_variance, noise: mean.expand_as(noise))
    model = build()
    model.protocol = "binary"
    x = (torch.rand(1, *model.shape, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    one, _ = model.loss(x, None)
    seven, _ = model.loss(x.repeat(7, 1, 1, 1), None)
    torch.testing.assert_close(one, seven)
    assert one > 40  # 64 pixels of about log 2 each
    fits = model.log_likelihood(model.network, x, torch.zeros(1, 4), None)
    out = model.network.decode(torch.zeros(1, 4)).squeeze(-1)
    left = model.likelihood.log_prob(out[..., :4, None], x[..., :4]).sum()
    right = model.likelihood.log_prob(out[..., 4:, None], x[..., 4:]).sum()
    torch.testing.assert_close(fits.sum(), left + right)


def test_the_bound_is_reported_at_beta_1():
    plain, strict = build(), build(beta=4.0)
    assert torch.equal(plain.data.images, strict.data.images)
    for name, value in plain.bounds(3).items():
        assert value == strict.bounds(3)[name]
    metrics = strict.bounds(3)
    assert metrics["eval_nats"].item() == pytest.approx((metrics["eval_reconstruction"] + metrics["eval_kl"]).item())
    x, y = strict.data.next()
    loss, reported = strict.loss(x, y)
    assert loss.item() == pytest.approx((reported["nats"] + 3 * reported["kl"]).item(), rel=1e-5)


def test_evaluation_samples_the_posterior(monkeypatch):
    model = build(seed=1)
    for _ in range(40):
        model.step()
    metrics = model.bounds(3)
    assert torch.equal(model.bounds(3)["eval_nats"], metrics["eval_nats"])  # from a stream of its own, each time anew
    monkeypatch.setattr(vae, "reparameterize", lambda mean, log_variance, noise: mean.expand_as(noise))
    assert model.bounds(3)["eval_reconstruction"] != metrics["eval_reconstruction"]


@pytest.mark.parametrize("extreme", [-1e4, 1e4])
def test_an_extreme_encoder_stays_finite(extreme):
    model = build()
    with torch.no_grad():
        model.network.encoder.layers[-1].bias[4:].fill_(extreme)
    loss, _ = model.loss(*model.data.next())
    loss.backward()
    assert loss.isfinite()
    assert all(weight.grad.isfinite().all() for weight in model.network.parameters())


def test_the_importance_bound_of_one_sample_is_its_weight_and_of_more_is_higher():
    torch.manual_seed(0)
    weights = torch.randn(1_000, 20_000, dtype=torch.float64)
    assert torch.equal(importance_bound(weights[:1]), weights[0])
    means = [importance_bound(weights[:k]).mean().item() for k in (1, 10, 100, 1_000)]
    assert means == sorted(means)
    assert means[-1] == pytest.approx(0.5, abs=0.01)  # log E[exp w] for a standard normal w


@pytest.fixture(scope="module")
def trained():
    model = build(latent=3)
    for _ in range(60):
        model.step()
    return model


def test_the_mean_log_weight_is_the_elbo(trained):
    x, _ = trained.test_batch(torch.arange(2))
    with torch.no_grad():
        log_weights = trained.log_weights(x, None, 20_000, torch.Generator().manual_seed(0))
        mean, log_variance = trained.posterior(trained.ema, x, None)
        z = reparameterize(
            mean, log_variance, torch.randn(20_000, *mean.shape, generator=torch.Generator().manual_seed(1))
        )
        fit = trained.log_likelihood(trained.ema, x.repeat(20_000, 1, 1, 1), z.flatten(0, 1), None).view(-1, 2)
    elbo = fit.mean(0) - kl_divergence(mean, log_variance).sum(1)
    torch.testing.assert_close(log_weights.mean(0), elbo, atol=0.1, rtol=0)


def test_conditional_log_weights_are_those_of_a_loop(monkeypatch):
    """log p(x|z, y) + log p(z) - log q(z|x, y), each image with its own label, in chunks of any size."""
    model = build(conditional=True, latent=2)
    torch.manual_seed(0)
    for p in model.ema.parameters():
        p += 0.3 * torch.randn_like(p)
    x, y = model.test_batch(torch.arange(4))
    y = torch.tensor([3, 1, 4, 1])
    with torch.no_grad():
        mean, log_variance = model.posterior(model.ema, x, y)
        noise = torch.randn(6, 4, 2, generator=torch.Generator().manual_seed(5))
        expected = torch.empty(6, 4)
        for k in range(6):
            for i in range(4):
                σ = (log_variance[i] / 2).exp()
                z = mean[i] + σ * noise[k, i]
                out = model.ema.decode(z[None], y[i : i + 1]).squeeze(-1)
                log_likelihood = -torch.nn.functional.binary_cross_entropy_with_logits(
                    out, x[i : i + 1], reduction="sum"
                )
                expected[k, i] = log_likelihood + Normal(0, 1).log_prob(z).sum() - Normal(mean[i], σ).log_prob(z).sum()
        for chunk in (5_000, 7, 1):
            monkeypatch.setattr(vae, "IWAE_CHUNK_SIZE", chunk)
            found = model.log_weights(x, y, 6, torch.Generator().manual_seed(5))
            torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-5)


def test_the_importance_bound_averages_weights_not_their_logarithms():
    log_weights = torch.tensor([[0.0, 5.0], [1.0, 5.0], [3.0, 5.0]], dtype=torch.float64)
    expected = math.log((1 + math.exp(1) + math.exp(3)) / 3)
    assert importance_bound(log_weights).tolist() == pytest.approx([expected, 5.0])


def test_more_samples_give_a_tighter_bound_of_independent_samples(trained, monkeypatch):
    images = []
    hook = trained.ema.decoder.register_forward_hook(lambda module, given, out: images.append(len(given[0])))
    bounds = [trained.bounds(k)[f"eval_iwae_{k}"].item() for k in (1, 10, 40)]
    hook.remove()
    assert sum(images) == len(trained.test_set) * (3 + 1 + 10 + 40)
    assert bounds[0] > bounds[1] > bounds[2]
    x, _ = trained.test_batch(torch.arange(3))
    with torch.no_grad():
        at_once = trained.log_weights(x, None, 10, torch.Generator().manual_seed(0))
        monkeypatch.setattr(vae, "IWAE_CHUNK_SIZE", 7)  # images at once make no difference
        in_parts = trained.log_weights(x, None, 10, torch.Generator().manual_seed(0))
    torch.testing.assert_close(in_parts, at_once)


def test_the_gain_of_the_importance_bound_is_measured_on_a_part_of_the_images(trained):
    assert trained.bounds(20, 100)["eval_iwae_20"].item() == pytest.approx(
        trained.bounds(20)["eval_iwae_20"].item(), abs=0.5
    )
    final = trained.final()
    assert {"eval_iwae_500", "uniform_nats", "uniform_bits"} <= set(final)
    assert final["eval_nats"] < final["uniform_nats"]
    assert final["uniform_bits"] == pytest.approx(1)
    assert trained.protocol == "dynamic"


def test_active_units_have_a_varying_posterior_mean():
    model = build()
    with torch.no_grad():
        model.ema.encoder.layers[-1].weight[:4].zero_()
    assert model.bounds(2)["eval_active_units"] == 0
    with torch.no_grad():
        model.ema.encoder.layers[-1].weight[1].normal_()
    assert model.bounds(2)["eval_active_units"] == 1


@dataclass(frozen=True)
class Gaussian:
    """N(out, variance): with it a linear VAE is probabilistic PCA (Tipping & Bishop 1999)."""

    variance: float
    width: int = 1

    def log_prob(self, out, x):
        return -((x - out.squeeze(-1)).square() / self.variance + math.log(2 * math.pi * self.variance)) / 2


def probabilistic_pca(latent=3):
    """A linear VAE of digits, how they really are distributed under its optimum, and that optimum's parts."""
    model = build(depth=0, latent=latent, batch=100, lr=2e-2, schedule="cosine", lr_steps=200_000, ema=0.9)
    model.protocol, model.test_set = "binary", model.real("train")
    x = model.real("train").images.double().flatten(1) / 255
    mean, covariance = x.mean(0), x.T.cov(correction=0)
    values, vectors = torch.linalg.eigh(covariance)
    variance = values[:-latent].mean()
    weight = vectors[:, -latent:] * (values[-latent:] - variance).sqrt()
    truth = MultivariateNormal(mean, weight @ weight.T + variance * torch.eye(64, dtype=torch.float64))
    model.likelihood = Gaussian(variance.item())
    return model, truth.log_prob(x), weight, mean, values[-latent:], variance


def test_at_its_optimum_a_linear_vae_is_probabilistic_pca():
    """Its posterior is exact there, so every bound, of any number of samples, is the likelihood itself."""
    model, truth, weight, mean, values, variance = probabilistic_pca()
    encoder, decoder = model.ema.encoder.layers[0], model.ema.decoder.layers[0]
    with torch.no_grad():
        decoder.weight.copy_(weight)
        decoder.bias.copy_(mean)
        encoder.weight[:3] = (weight.T / values[:, None]).float()
        encoder.bias[:3] = -(weight.T @ mean / values).float()
        encoder.weight[3:] = 0
        encoder.bias[3:] = (variance / values).log().float()
        x, _ = model.test_batch(torch.arange(20))
        weights = model.log_weights(x, None, 30, torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(weights, truth[:20].expand(30, -1), atol=2e-3, rtol=0)
    torch.testing.assert_close(importance_bound(weights), truth[:20], atol=2e-3, rtol=0)
    metrics = model.bounds(2, 100)
    assert -metrics["eval_iwae_2"].item() == pytest.approx(-metrics["eval_nats"].item(), abs=0.5)


def test_a_linear_vae_learns_probabilistic_pca():
    model, truth, *_ = probabilistic_pca()
    while model.time < 200_000:
        model.step()
    reached = -model.bounds(1, 1)["eval_nats"].item()
    assert reached == pytest.approx(truth.mean().item(), abs=0.2)


def test_static_and_dynamic_binarisation():
    dynamic, static = build(), build(binarise="static")
    x = dynamic.data.images
    assert ((x > 0) & (x < 255)).any()
    assert set(static.data.images.unique().tolist()) == {0, 255}
    assert torch.equal(static.data.images, build(seed=5, binarise="static").data.images)
    assert torch.equal(dynamic.test_set.images, static.test_set.images)
    assert set(dynamic.test_set.images.unique().tolist()) == {0, 255}
    assert (static.protocol, build(likelihood="logistic").protocol) == ("static", "8-bit")
    with pytest.raises(UserError, match="grey levels"):
        build(binarise="none")


def test_greys_among_the_training_images_alone_are_refused_too(monkeypatch):
    load = VAE.load
    monkeypatch.setattr(
        VAE, "load", lambda self, split: load(self, split) if split == "train" else binarised(load(self, split))
    )
    with pytest.raises(UserError, match="grey levels"):
        build(binarise="none")
    monkeypatch.setattr(VAE, "load", lambda self, split: binarised(load(self, split)))
    assert build(binarise="none").protocol == "binary"


def test_grey_levels_have_bits():
    model = build(likelihood="mixture", components=2)
    for _ in range(60):
        model.step()
    metrics = model.final()
    assert metrics["uniform_bits"] == pytest.approx(8)
    assert metrics["eval_bits"] == pytest.approx(metrics["eval_nats"].item() / (64 * math.log(2)))
    assert metrics["eval_bits"] < 6
    assert model.sample(3).shape == (3, 1, 8, 8)


def test_the_weight_of_the_divergence_rises_with_the_images():
    model = build(beta=2.0, kl_warmup=100)
    weights = [model.step()["beta"] for _ in range(3)]
    assert weights == [1.0, 2.0, 2.0]


def test_dimensions_below_the_free_bits_have_no_gradient():
    model = build(free_bits=1e3)
    loss, reported = model.loss(*model.data.next())
    assert loss.item() == pytest.approx((reported["nats"] - reported["kl"]).item() + 4 * 1e3, rel=1e-5)
    loss.backward()
    free = model.network.encoder.layers[-1].bias.grad
    paid = copy.deepcopy(build())
    loss, _ = paid.loss(*paid.data.next())
    loss.backward()
    assert not torch.equal(free, paid.network.encoder.layers[-1].bias.grad)


def test_free_bits_hold_per_dimension_of_the_batch_mean():
    """Of a dimension above the free bits on average, some images are below them."""
    model = build(latent=2, free_bits=0.5, precision="float32")
    model.binarisation = "binary"
    x = (torch.rand(50, *model.shape, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    last = model.network.encoder.layers[-1]
    with torch.no_grad():
        torch.nn.init.normal_(last.weight[:1], std=1.0, generator=torch.Generator().manual_seed(1))
        last.weight[1:] = 0
        last.bias.copy_(torch.tensor([0.7, 0.4, 0.0, 0.0]))  # dimension 1 has a divergence of 0.08 for all images
        kl = kl_divergence(*model.posterior(model.network, x, None))
    first = kl[:, 0]
    assert first.min() < 0.5 < first.mean() < first.clamp(min=0.5).mean() - 1e-3
    loss, metrics = model.loss(x, None)
    penalty = (loss - metrics["nats"] + metrics["kl"]).item()
    assert penalty == pytest.approx(first.mean().item() + 0.5, rel=1e-4)


def test_labels_choose_the_class_of_samples():
    model = build(conditional=True)
    metrics = [model.step() for _ in range(3)][-1]
    assert metrics["loss"].isfinite()
    sevens = model.sample(4, labels=torch.full((4,), 7))
    assert torch.equal(sevens, model.sample(4, labels=torch.full((4,), 7)))
    assert not torch.equal(sevens, model.sample(4, labels=torch.full((4,), 3)))
    assert torch.equal(model.sample(12), model.sample(12, labels=torch.arange(12) % 10))
    samples = model.draw()["samples"]
    assert samples.images.shape == (80, 1, 8, 8)
    assert samples.column_labels == model.classes
    with pytest.raises(UserError, match="4 samples take 4 labels from 0 to 9"):
        model.sample(4, labels=torch.tensor([0, 1, 2, 10]))
    with pytest.raises(UserError, match="trained without --conditional"):
        build().sample(2, labels=torch.tensor([0, 1]))


@pytest.mark.parametrize("network", ["dense", "convolutional"])
def test_the_label_is_an_input_of_the_encoder(network):
    model = build(conditional=True, network=network)
    for p in model.ema.parameters():
        p += 0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0))
    x, _ = model.test_batch(torch.arange(5))
    one, other = (model.encode(x, torch.full((5,), label)) for label in (1, 2))
    assert (one != other).all()


def test_settings_that_contradict_each_other():
    for settings in ({"binarise": "static", "likelihood": "logistic"}, {"components": 5}):
        with pytest.raises(UserError, match="--"):
            VAE.Config(**settings).check(settings)
    VAE.Config().check({})
