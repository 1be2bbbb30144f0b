import json

import pytest
from PIL import Image

WORDS = ("find-lr", "classify", "digits", "--network", "mlp", "--optimizer", "momentum", "--threads", "1")


@pytest.mark.slow
def test_the_suggestion_is_a_command_that_runs(rlgen, tmp_path):
    out = tmp_path / "rates.png"
    code, printed, errors = rlgen(*WORDS, "--out", str(out))
    assert code == 0, errors
    lines = dict(line.split(None, 1) for line in printed.splitlines())
    assert 1e-4 < float(lines["valley"]) < 1
    assert lines["next"] == f"rlgen {' '.join(WORDS[1:])} --lr {lines['valley']}"
    with Image.open(out) as picture:
        assert picture.size[0] > 400
    code, printed, _ = rlgen(*WORDS, "--out", str(out), "--steps", "30", "--json")
    found = json.loads(printed)
    assert code == 0
    assert len(found["rates"]) == len(found["losses"]) == len(found["smoothed"]) <= 30
    assert found["rates"][0] == 1e-7
    assert found["picture"] == str(out)
    assert f"{found['valley']:.2g}" in found["command"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("classify", "digits", "--lr", "0.1"), "--lr is what find-lr finds: leave it out"),
        (("classify", "digits", "--start", "2", "--end", "1"), "--start 2 is not below --end 1"),
        (("classify", "digits", "--out", "rates.txt"), "--out rates.txt: the name must end in .png, .pdf, .svg"),
        (("gan", "digits"), "GAN has two networks with a loss each"),
        (("knn", "digits"), "has no gradient step of its own"),
        (("clasify", "digits"), "no algorithm 'clasify': did you mean classify?"),
    ],
)
def test_what_cannot_be_tested_is_refused_in_one_line(rlgen, words, message):
    code, _, errors = rlgen("find-lr", *words)
    assert code == 2
    assert message in errors.splitlines()[-1]
