import json
import shutil

import pytest

from rlgen import train
from rlgen.cli.explain import METHODS


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A classifier of digits, trained for a moment."""
    runs = tmp_path_factory.mktemp("digits")
    train("classify", "digits", runs=runs, name="digits", budget=512, log_every=256, eval_every=512, progress=False)
    return runs / "digits"


@pytest.fixture
def run(digits, tmp_path):
    shutil.copytree(digits, tmp_path / "runs" / "digits")
    return tmp_path / "runs" / "digits"


def test_the_methods_are_those_of_the_room():
    from rlgen.explain.drawings import DRAWINGS
    from rlgen.explain.maps import MAPS

    assert (*MAPS, *DRAWINGS) == METHODS


def test_pictures_lie_in_the_folder_of_the_run(rlgen, run):
    code, out, err = rlgen("explain", "digits", "--method", "saliency,filters", "--images", "2")
    assert code == 0, err
    assert sorted(path.name for path in (run / "explain").iterdir()) == ["filters.png", "saliency.png"]
    assert out.splitlines()[0].split() == ["method", "head", "half", "all", "verdict", "file"]
    assert "explain/saliency.png" in out


def test_json_and_a_folder_of_choice(rlgen, run, tmp_path):
    words = ("--method", "gradcam", "--images", "2", "--out", str(tmp_path / "out"), "--json", "--class", "3")
    code, out, err = rlgen("explain", "digits", *words)
    assert code == 0, err
    values = json.loads(out)
    assert values["gradcam"]["file"] == str(tmp_path / "out" / "gradcam.png")
    assert (tmp_path / "out" / "gradcam.png").is_file()
    assert not (run / "explain").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--method", "salency"), "--method salency: no method of that name: did you mean saliency?"),
        (("--method", ","), "--method: choose all, or some of saliency"),
        (("--class", "cat"), "--class cat: the classes of this run are 0, 1"),
        (("--unit", "conv9:1"), "there is no block 'conv9'"),
        (("--member", "1"), "--member 1: this run has the members 0 to 0"),
        (("--file", "absent.png"), "--file absent.png: not a picture that can be read"),
        (("--images", "0"), "0 is less than 1"),
    ],
)
def test_bad_input_is_one_line(rlgen, run, words, message):
    code, out, err = rlgen("explain", "digits", *words)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1 or "loading" in err
    assert not out


def test_an_agent_is_refused(rlgen, trained):
    code, _, err = rlgen("explain", "latest")
    assert code == 2
    assert "the observations of this agent are numbers, not pixels: `rlgen ui`" in err
