import pytest
import torch

from rlgen.core.errors import UserError
from rlgen.core.images import to_bytes
from rlgen.generative.autoencoders.vae import kl_divergence
from rlgen.ui.actions import Session, encoding, latent


@pytest.fixture
def session(tmp_path):
    return Session(tmp_path)


def decoded(url, shape=(1, 8, 8)):
    return torch.from_numpy(encoding.picture(url, shape))


def test_units_are_ordered_by_the_divergence_of_each(model, session):
    vae = model("vae")
    found = latent.units(vae, {}, session)
    divergences = []
    for j in range(3):
        total = 0.0
        for n in range(len(vae.test_set)):
            x, _ = vae.test_batch(slice(n, n + 1))
            with torch.no_grad():
                mean, log_variance = vae.posterior(vae.ema, x, None)
            total += kl_divergence(mean, log_variance)[0, j].item()
        divergences.append(total / len(vae.test_set))
    by_hand = sorted(range(3), key=lambda j: -divergences[j])
    assert [unit["unit"] for unit in found["units"]] == by_hand
    for unit in found["units"]:
        assert unit["use"] == pytest.approx(divergences[unit["unit"]], rel=1e-4)
        assert unit["low"] <= -3 <= unit["start"] == 0 <= 3 <= unit["high"]
    assert found["axes"] == by_hand[:2]
    assert found["measure"] == "KL divergence in nats"


def test_the_codes_of_test_images_lie_in_the_plane_of_the_axes(model, session):
    vae = model("vae")
    x, _ = vae.test_batch(slice(None))
    codes = vae.encode(x)
    for request, axes in (({"axes": [2, 0]}, [2, 0]), ({"axes": [0, 1]}, [0, 1])):
        found = latent.units(vae, request, session)
        assert found["axes"] == axes
        torch.testing.assert_close(torch.tensor(found["codes"]), codes[:, axes], atol=6e-4, rtol=0)
    assert found["labels"] == vae.test_set.labels.tolist()
    assert found["classes"] == list("0123456789")


@pytest.mark.parametrize("axes", [[0, 0], [0, 3], [-1, 0], [0.5, 1], [0], "01"])
def test_axes_are_two_different_dimensions(model, session, axes):
    with pytest.raises(UserError, match="axes must be"):
        latent.units(model("vae"), {"axes": axes}, session)


def test_a_unit_without_effect_is_inactive(model, session):
    vae = model("vae", latent=4)
    vae.ema.encoder.layers[-1].weight.data[1] = vae.ema.encoder.layers[-1].bias.data[1] = 0  # mean of unit 1
    units = {unit["unit"]: unit["active"] for unit in latent.units(vae, {}, session)["units"]}
    assert units == {0: True, 1: False, 2: True, 3: True}
    ae = model("ae", latent=5)
    ae.ema.encoder.layers[-1].weight.data[2] = 0
    found = latent.units(ae, {}, Session(session.folder))
    units = {unit["unit"]: unit["active"] for unit in found["units"]}
    assert units == {0: True, 1: True, 2: False, 3: True, 4: True}
    assert found["measure"] == "variance over test images"
    codes = ae.encode(ae.test_batch(slice(None))[0])
    assert [unit["unit"] for unit in found["units"]] == codes.var(0).argsort(descending=True).tolist()


def test_one_dimension_has_sliders_but_no_plane(model, session):
    found = latent.units(model("ae", latent=1), {}, session)
    assert (found["axes"], found["codes"]) == ([0], [])
    assert len(found["units"]) == 1


@pytest.mark.parametrize("name", ["ae", "vae"])
def test_a_code_becomes_the_picture_of_the_decoder(model, session, name):
    z = [0.5, -1.0, 2.0]
    url = latent.decode(model(name), {"z": z}, session)["image"]
    assert torch.equal(decoded(url), to_bytes(model(name).decode(torch.tensor([z]))[0]))
    other = latent.decode(model(name), {"z": [-2.0, 1.0, 0.0]}, session)["image"]
    assert url != other


@pytest.mark.parametrize("z", [None, [1.0, 2.0], [1.0, 2.0, "3"], [1.0, 2.0, 1e9]])
def test_codes_of_another_length_are_refused(model, session, z):
    with pytest.raises(UserError, match="z must be a list of 3 numbers"):
        latent.decode(model("vae"), {"z": z}, session)


def test_the_class_of_a_conditional_model(model, session):
    vae = model("vae", conditional=True)
    z = [0.0, 0.0, 0.0]
    urls = [latent.decode(vae, {"z": z, "label": label}, session)["image"] for label in (0, 7)]
    assert torch.equal(decoded(urls[1]), to_bytes(vae.decode(torch.tensor([z]), torch.tensor([7]))[0]))
    assert urls[0] != urls[1]
    with pytest.raises(UserError, match="label must be a whole number from 0 to 9"):
        latent.decode(vae, {"z": z, "label": 10}, session)
    x, labels = vae.test_batch(slice(5, 6))
    found = latent.encode(vae, {"of": "test", "index": 5}, session)
    assert found["label"] == labels.item()
    torch.testing.assert_close(torch.tensor([found["z"]]), vae.encode(x, labels))


def test_a_picture_is_encoded_as_the_likelihood_takes_it(model, session):
    drawing = torch.linspace(0, 255, 64).round().byte().view(1, 8, 8)
    request = {"of": "picture", "picture": encoding.png(drawing[0].numpy())}
    for name, x in (("vae", (drawing / 255).round()), ("ae", drawing / 255)):
        found = latent.encode(model(name), request, session)
        z = model(name).encode(x[None])
        torch.testing.assert_close(torch.tensor([found["z"]]), z)
        reconstruction = model(name).decode(z)
        assert torch.equal(decoded(found["reconstruction"]), to_bytes(reconstruction[0]))
        assert torch.equal(decoded(found["image"]), to_bytes(x))
        assert found["mse"] == pytest.approx((reconstruction - x).square().mean().item())
        assert found["label"] is None


@pytest.mark.parametrize("name", ["vqvae", "gan", "pixelcnn"])
def test_models_without_a_latent_vector_are_refused(model, session, name):
    for action in (latent.units, latent.decode, latent.encode):
        with pytest.raises(UserError, match="has no latent vector of an image: take an ae or a vae"):
            action(model(name), {}, session)
