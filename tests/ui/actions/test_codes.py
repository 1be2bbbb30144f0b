import pytest
import torch

from rlgen.core.errors import UserError
from rlgen.core.images import to_bytes
from rlgen.ui.actions import Session, codes, encoding


@pytest.fixture
def session(tmp_path):
    return Session(tmp_path)


def decoded(url, shape=(1, 8, 8)):
    return torch.from_numpy(encoding.picture(url, shape))


def test_the_codes_of_an_image_are_the_nearest_and_its_reconstruction_that_of_the_model(model, session):
    made = model("vqvae")
    x, _ = made.test_batch(slice(6, 7))
    found = codes.encode(made, {"of": "test", "index": 6}, session)
    distances = torch.cdist(made.encode(x)[0].flatten(1).T, made.ema.codebook.codes)  # (4, K)
    assert found["codes"] == distances.argmin(1).tolist()
    assert torch.equal(decoded(found["reconstruction"]), to_bytes(made.reconstruct(x)[0]))
    assert found["mse"] == pytest.approx((made.reconstruct(x) - x).square().mean().item(), rel=1e-5)
    assert found["label"] == made.test_set.labels[6]
    again = codes.decode(made, {"codes": found["codes"]}, session)
    assert again["image"] == found["reconstruction"]
    changed = [(found["codes"][0] + 1) % 5, *found["codes"][1:]]
    assert codes.decode(made, {"codes": changed}, session)["image"] != found["reconstruction"]


def test_the_codebook_is_ordered_by_use_in_test_images(model, session):
    made = model("vqvae")
    found = codes.book(made, {}, session)
    counts = [0] * 5
    for n in range(len(made.test_set)):
        for k in codes.encode(made, {"of": "test", "index": n}, session)["codes"]:
            counts[k] += 1
    assert found["use"] == pytest.approx([counts[k] / sum(counts) for k in found["codes"]])
    assert found["use"] == sorted(found["use"], reverse=True)
    assert (found["grid"], found["counted"]) == ([2, 2], len(made.test_set))
    for k, url in zip(found["codes"], found["patches"], strict=True):
        alone = codes.decode(made, {"codes": [k] * 4}, session)["image"]
        assert torch.equal(decoded(url), decoded(alone))  # an image of digits is one patch


@pytest.mark.parametrize("given", [None, [0, 1, 2], [0, 1, 2, 5], [0, 1, 2, -1], [0, 1, 2, 0.5]])
def test_codes_that_are_not_in_the_codebook_are_refused(model, session, given):
    with pytest.raises(UserError, match="codes must be"):
        codes.decode(model("vqvae"), {"codes": given}, session)


def test_other_models_are_refused(model, session):
    for action in (codes.book, codes.encode, codes.decode):
        with pytest.raises(UserError, match="VAE has no codebook: take a vqvae"):
            action(model("vae"), {}, session)
