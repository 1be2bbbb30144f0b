import json

import numpy as np
import pytest
import torch
from PIL import Image

from rlgen.core.errors import UserError
from rlgen.explain import explanation
from tests.explain.test_subject import classifier

FAST = ("saliency", "guided", "gradcam", "filters", "strongest")


def results(tmp_path, trained=None, methods=FAST, every=True, **given):
    request = explanation.request(trained or classifier(), "run", images=3, out=tmp_path, **given)
    calls = []
    found = list(explanation.explain(request, methods, every, calls.append))
    return request, found, sum(calls)


@pytest.mark.slow
def test_every_method_writes_its_picture(tmp_path):
    request, found, calls = results(tmp_path)
    assert [result.file.name for result in found] == [f"{name}.png" for name in FAST]
    for result in found:
        with Image.open(result.file) as picture:
            assert picture.width > 700
    assert calls == explanation.work(request, FAST)
    lines = explanation.lines(found)
    assert lines[0].split() == ["method", "head", "half", "all", "verdict", "file"]
    assert [line.split()[0] for line in lines[1:6]] == list(FAST)
    assert "Adebayo" in lines[-1]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_pictures(tmp_path):
    names, trained = ("saliency", "strongest"), classifier()
    a, b, c = (results(tmp_path / x, trained, names, seed=s)[1] for x, s in (("a", 0), ("b", 0), ("c", 1)))
    for first, second in zip(a, b, strict=True):
        assert first.file.read_bytes() == second.file.read_bytes()
    assert a[0].file.read_bytes() != c[0].file.read_bytes()  # other images, other random weights


def test_json_has_the_numbers(tmp_path):
    trained = classifier("lenet5", size=12)
    _, found, _ = results(tmp_path, trained, ("saliency", "filters", "strongest"))
    values = json.loads(json.dumps(explanation.as_json(found)))
    assert set(values["saliency"]["rank_correlation"]) == {"head", "half", "all"}
    assert values["filters"]["filters"] == 6
    assert list(values["strongest"]["units"]) == [f"C3:{i}" for i in range(8)]
    assert len(values["strongest"]["units"]["C3:0"]["images"]) == 8


def test_a_method_that_does_not_fit_is_left_out_of_all_and_refused_alone(tmp_path):
    _, found, _ = results(tmp_path, classifier("mlp"), ("gradcam", "saliency"))
    assert found[0].file is None
    assert "maps of a convolution" in found[0].left_out
    assert found[1].file is not None
    assert any(line.startswith("gradcam left out: ") for line in explanation.lines(found))
    assert explanation.as_json(found)["gradcam"]["left_out"] == found[0].left_out
    with pytest.raises(UserError, match="maps of a convolution"):
        results(tmp_path, classifier("mlp"), ("gradcam",), every=False)


@pytest.mark.slow
@pytest.mark.parametrize("network", ["linear", "mlp"])
def test_networks_without_convolution_have_all_other_pictures(tmp_path, network):
    trained = classifier("mlp", width=0.02) if network == "mlp" else classifier(network)
    _, found, _ = results(tmp_path, trained, ("occlusion", "ascent", "filters", "strongest"))
    assert all(result.file for result in found)


def test_a_class_and_a_unit_are_those_that_were_asked_for(tmp_path):
    request, found, _ = results(
        tmp_path, methods=("ascent", "strongest"), class_="7", unit="C1:3", trained=classifier("lenet5", size=12)
    )
    assert request.target.tolist() == [7, 7, 7]
    values = explanation.as_json(found)
    assert list(values["strongest"]["units"]) == list(values["ascent"]["reached"]) == ["C1:3"]


def test_captions_compare_class_and_prediction(tmp_path):
    request, _, _ = results(tmp_path, methods=())
    chance, predicted = request.subject.network(request.x).softmax(-1).max(1)
    labels = request.subject.labels[request.subject.choose(3, 0)]
    for (text, right), label, k, share in zip(request.captions, labels, predicted, chance, strict=True):
        assert text == (f"{k}\n{share:.0%}" if label == k else f"{label}\n→ {k} {share:.0%}")
        assert right == (label == k)
    assert torch.equal(request.target, predicted)


def test_pictures_of_ones_own_are_cropped_scaled_and_grey(tmp_path):
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[..., 0] = 200
    Image.fromarray(pixels).save(tmp_path / "red.png")
    request, _, _ = results(tmp_path, methods=(), files=[tmp_path / "red.png"])
    assert request.x.shape == (1, 1, 8, 8)
    assert torch.equal(request.subject.pixels(request.x), torch.full((1, 1, 8, 8), 60 / 255))
    assert "→" not in request.captions[0][0]
    (tmp_path / "text.png").write_text("no picture")
    for name in ("text.png", "absent.png"):
        with pytest.raises(UserError, match=f"--file .*{name}: not a picture"):
            results(tmp_path, methods=(), files=[tmp_path / name])


def test_a_run_without_network_is_refused(tmp_path):
    with pytest.raises(UserError, match="knn-digits-1 has no network to explain"):
        explanation.request(object(), "knn-digits-1", out=tmp_path)
