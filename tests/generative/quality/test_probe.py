import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC

from rlgen import data
from rlgen.core.errors import UserError
from rlgen.core.settings import Setup
from rlgen.generative.autoencoders.ae import Autoencoder
from rlgen.generative.autoencoders.vae import VAE
from rlgen.generative.gan.gan import GAN
from rlgen.generative.quality import probe as probing
from rlgen.generative.quality.probe import accuracy, neighbours, probe, softmax, svm


def digits():
    train, test = data.load("digits"), data.load("digits", "test")
    return train.images[:400].flatten(1) / 255, train.labels[:400], test.images.flatten(1) / 255, test.labels


def test_the_linear_classifiers_are_at_their_optimum():
    x, y, x_test, y_test = digits()
    found = softmax(x, y, x_test, 10)
    scale = x.std(0, correction=0).clamp(min=1e-3)
    oracle = LogisticRegression(C=1 / (len(x) * probing.DECAY), max_iter=1_000)
    oracle.fit(((x - x.mean(0)) / scale).numpy(), y.numpy())
    expected = torch.from_numpy(oracle.predict(((x_test - x.mean(0)) / scale).numpy()))
    assert accuracy(found, expected) > 0.98
    assert accuracy(found, y_test) > 0.9
    oracle = LinearSVC(C=1 / (len(x) * probing.DECAY) / 2, loss="squared_hinge", intercept_scaling=100)
    oracle.fit(((x - x.mean(0)) / scale).numpy(), y.numpy())
    expected = torch.from_numpy(oracle.predict(((x_test - x.mean(0)) / scale).numpy()))
    assert accuracy(svm(x, y, x_test, 10), expected) > 0.98
    assert accuracy(svm(x, y, x_test, 10), y_test) > 0.85


@pytest.mark.parametrize("norm", [1.0, 2.0])
def test_neighbours_vote(norm):
    x, y, x_test, y_test = digits()
    found = neighbours(x, y, x_test, 10, norm=norm)
    oracle = KNeighborsClassifier(5, p=norm, algorithm="brute").fit(x.numpy(), y.numpy())
    assert accuracy(found, torch.from_numpy(oracle.predict(x_test.numpy()))) > 0.97  # ties apart
    assert accuracy(found, y_test) > 0.9


@pytest.mark.parametrize("classify", [softmax, svm])
def test_linear_classifiers_standardise_their_features(classify):
    """Each feature with its own mean and scale, those of the training images; constant ones have no effect."""
    x, y, x_test, _ = digits()
    expected = classify(x, y, x_test, 10)
    scale, shift = torch.linspace(0.5, 50, 64), torch.linspace(-300, 300, 64)
    assert accuracy(classify(x * scale + shift, y, x_test * scale + shift, 10), expected) > 0.99
    constant = [torch.cat([part, torch.full((len(part), 1), value)], 1) for part, value in ((x, 7.0), (x_test, 1e6))]
    assert torch.equal(classify(constant[0], y, constant[1], 10), expected)


def test_the_nearest_decides_a_tie():
    x, y = torch.tensor([[1.0], [2.0], [3.0], [4.0]]), torch.tensor([1, 0, 0, 1])
    assert neighbours(x, y, torch.tensor([[0.0], [5.0]]), 2, norm=2.0).tolist() == [1, 1]


@pytest.fixture(scope="module")
def model():
    autoencoder = Autoencoder("digits", Autoencoder.Config(width=32, depth=1, latent=16, batch=50), Setup(threads=1))
    for _ in range(150):
        autoencoder.step()
    return autoencoder


@pytest.mark.slow
def test_every_classifier_is_better_than_chance(model, monkeypatch):
    monkeypatch.setattr(probing, "STEPS", 150)
    monkeypatch.setattr(probing, "LR", 1e-2)
    before = [weight.clone() for weight in model.ema.parameters()]
    reported = []
    result = probe(model, images=300, progress=reported.append)
    assert sum(reported) == 100
    assert len(reported) > 40
    assert (result["images"], result["test_images"]) == (300, len(model.test_set))
    assert len(result["classifiers"]) == 4
    assert sorted(result["networks"]) == [100, 1_000, 1_498]
    for row in (*result["classifiers"].values(), *result["networks"].values()):
        assert all(0.4 < share <= 1 for share in row.values()), result
    networks = result["networks"]
    assert networks[1_498]["frozen"] > networks[100]["frozen"]
    assert all(torch.equal(a, b) for a, b in zip(before, model.ema.parameters(), strict=True))
    assert all(not weight.requires_grad for weight in model.ema.parameters())
    assert probe(model, images=300) == result


def test_from_scratch_means_other_weights(model, monkeypatch):
    """Before the first step only what is tuned has the code that was learned."""
    x, y = model.real("train").images / 255, model.real("train").labels
    codes = []
    encoded = model.latent_code
    monkeypatch.setattr(model, "latent_code", lambda *given: codes.append(encoded(*given)) or codes[-1], raising=False)
    monkeypatch.setattr(probing, "STEPS", 0)
    for anew in (False, True):
        codes.clear()
        probing._network(model, x[:9], y[:9], x[:300], 10, 0, anew, lambda share: None)
        assert torch.allclose(codes[0], model.encode(x[:300]), atol=1e-5) == (not anew)


def test_models_without_codes_or_with_labels_are_refused():
    with pytest.raises(UserError, match="only autoencoders"):
        probe(GAN("digits", GAN.Config(width=2, discriminator_width=2), Setup(threads=1)))
    with pytest.raises(UserError, match="conditional"):
        probe(VAE("digits", VAE.Config(width=4, conditional=True), Setup(threads=1)))
