"""`rlgen summary`."""

import io
import json
import re
from pathlib import Path

import pytest

from rlgen.cli import quiz
from tests.cli.small import SMALL

SHAPES = ["6x28x28", "6x14x14", "16 10 10", "16,5,5", "400", "120", "84", "10"]
RIGHT = [*SHAPES[:1], "5*5*1*6 + 6", *SHAPES[1:3], "2,416", *SHAPES[3:6], "48_120", SHAPES[6], "10164", SHAPES[7]]


@pytest.fixture
def answer(monkeypatch):
    return lambda *lines: monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def test_a_network_by_its_name(rlgen):
    code, out, err = rlgen("summary", "lenet5", "--no-time")
    assert code == 0, err
    assert re.search(r"Conv2d 5x5 +6x28x28 +156 +0.3% ", out)
    assert "28 + 2·2 - 5 + 1 = 28" in out
    assert "5²·1·6 + 6 = 156 parameters" in out
    assert re.search(r"^parameters +61,706, all trainable$", out, re.MULTILINE)
    assert re.search(r"^published +61,706 parameters, the same$", out, re.MULTILINE)
    assert "images/s" not in out


def test_shape_classes_and_settings(rlgen):
    values = json.loads(
        rlgen("summary", "lenet5", "--input", "3x32x32", "--classes", 4, "--width", 2, "--json", "--no-time")[1]
    )
    (table,) = values["networks"]
    assert table["input"] == [3, 32, 32]
    assert table["layers"][0]["parameters"] == 5 * 5 * 3 * 12 + 12
    assert table["layers"][-1]["output"] == [4]
    assert "published_parameters" not in values


def test_the_speed_is_measured(rlgen, monkeypatch):
    from rlgen.networks import speed

    monkeypatch.setattr(speed, "SECONDS", 0.01)
    out = rlgen("summary", "linear")[1]
    assert re.search(
        r"^time +[0-9.]+ min per 50,000 images on this machine, measured over \d+ training step", out, re.M
    )
    assert json.loads(rlgen("summary", "linear", "--json")[1])["images_per_second"] > 0


@pytest.mark.parametrize(("algorithm", "unit", "table"), [("dqn", "steps", "Q-network"), ("ae", "images", "encoder")])
def test_an_algorithm_by_its_name(rlgen, monkeypatch, algorithm, unit, table):
    from rlgen.cli import summary

    monkeypatch.setattr(summary, "SECONDS", 0.3)
    task = ["--task", "digits"] if unit == "images" else []
    code, out, err = rlgen("summary", algorithm, *task)
    assert code == 0, err
    assert table in out.splitlines()[0]
    assert re.search(rf"^budget +[0-9,]+ {unit}$", out, re.MULTILINE)
    assert re.search(r"^layer .* MACs", out, re.MULTILINE)
    if algorithm == "ae":  # an agent may need longer to collect its first transitions
        assert re.search(rf"^time +[0-9.]+ min for the budget, without evaluations: [0-9,]+ {unit}/s", out, re.M)
    values = json.loads(rlgen("summary", algorithm, *task, "--no-time", "--json")[1])
    assert values["algorithm"] == algorithm
    assert "minutes" not in values
    assert values["networks"][0]["parameters"] > 0


def test_an_algorithm_without_networks_and_options_that_do_not_fit(rlgen):
    assert "has no network" in rlgen("summary", "qlearning", "--no-time")[2]
    code, _, err = rlgen("summary", "lenet5", "--task", "digits")
    assert code == 2
    assert "--task digits: lenet5 is no algorithm" in err
    assert "--input: vae takes the shape of its task" in rlgen("summary", "vae", "--input", "1x8x8")[2]


def test_a_run(rlgen, trained):
    code, out, err = rlgen("summary", "latest")
    assert code == 0, err
    assert out.startswith("Q-network on inputs of 4\n")
    assert re.search(r"^time +[0-9,]+ steps/s, measured in its training on cpu", out, re.MULTILINE)
    parameters = json.loads(rlgen("summary", "latest", "--json")[1])["networks"][0]["parameters"]
    info = json.loads(rlgen("runs", "--json")[1])
    assert info
    assert parameters > 0
    assert "those of its training" in rlgen("summary", "latest", "--classes", 4)[2]


@pytest.mark.parametrize(
    "words",
    [
        ("drqn", "CartPoleHidden", *SMALL),
        ("gan", "digits", "--budget", 64, "--batch", 64, "--size", 8, "--width", 4, "--conditional"),
        ("vae", "digits", "--budget", 50, "--batch", 50, "--width", 8, "--conditional"),
        ("vqvae", "digits", "--budget", 50, "--batch", 50, "--width", 4),
        ("pixelcnn", "digits", "--budget", 50, "--batch", 50, "--width", 4, "--conditional"),
    ],
    ids=lambda words: words[0],
)
def test_runs_of_every_family(rlgen, words):
    assert rlgen(*words, "--quiet")[0] == 0
    code, out, err = rlgen("summary", "latest", "--json")
    assert code == 0, err
    tables = json.loads(out)["networks"]
    for table in tables:
        assert table["parameters"] == sum(row["parameters"] for row in table["layers"]) + sum(table["unused"].values())
    (path,) = Path("runs").glob("*/run.json")
    counted, total = json.loads(path.read_text())["parameters"], sum(table["parameters"] for table in tables)
    assert counted <= total if words[0] in ("pixelcnn", "vqvae") else counted == total  # weights behind a mask


def test_a_run_without_networks(rlgen):
    assert rlgen("qlearning", "FrozenLake", "--budget", 50, "--quiet")[0] == 0
    code, _, err = rlgen("summary", "latest")
    assert code == 2
    assert "has no network: `rlgen summary` is for runs of dqn, " in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("lenet",), "no network 'lenet': did you mean lenet5?"),
        (("something",), "no run 'something' in runs"),
        (("lenet5", "--input", "3x32"), "--input 3x32: give channels, height and width"),
        (("lenet5", "--input", "3x0x32"), "--input 3x0x32: give channels, height and width"),
        (("lenet5", "--input", "1x8x8"), "lenet5 needs images of at least 12x12 pixels: --input 1x12x12"),
        (("linear", "--depth", "3"), "--depth has no effect: it belongs to mlp, encoder, not to linear"),
        (("lenet5", "--quiz", "--json"), "--quiz is a dialogue, --json is data: leave out one of them"),
        (("lenet5", "--classes", "1"), "1 is less than 2"),
    ],
)
def test_mistakes_are_one_line(rlgen, words, message):
    code, out, err = rlgen("summary", *words)
    assert (code, out) == (2, "")
    (line,) = [line for line in err.splitlines() if "elapsed" not in line]
    assert message in line


def test_a_quiz_with_every_answer_right(rlgen, answer):
    answer(*RIGHT, "850", "61706")
    code, out, err = rlgen("summary", "lenet5", "--quiz")
    assert code == 0, err
    assert "61,706" not in out
    assert out.count("  right\n") == 14
    assert out.endswith("score 14 of 14, 100 %\n")


def test_wrong_answers_are_explained(rlgen, answer):
    answer("6x27x28", "150", "")
    out = rlgen("summary", "lenet5", "--quiz")[1]
    assert "6 filters of 5x5, stride 1, padding 2, bias, after 1x28x28" in out
    assert "wrong, 6x28x28: 28 + 2·2 - 5 + 1 = 28" in out
    assert "wrong, 156: 5²·1·6 + 6 = 156" in out
    assert "wrong, 6x14x14" in out
    assert out.endswith("score 0 of 3, 0 %\n")  # the end of the input ends the quiz


def test_q_ends_the_quiz(rlgen, answer):
    answer("6x28x28", "q", "6x14x14")
    assert rlgen("summary", "lenet5", "--quiz")[1].endswith("score 1 of 1, 100 %\n")
    answer("q")
    assert rlgen("summary", "lenet5", "--quiz")[1].endswith("score 0 of 0\n")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("34,944", 34_944), ("34_944", 34_944), ("11*11*3*96 + 96", 34_944), ("11²·3·96+96", 34_944),
        ("11^2 x 3 x 96 + 96", 34_944), ("1,000,000", 1_000_000), ("2**3", 8), ("", None), ("many", None),
        ("9**9**9**9", None), ("1/0", None), ("__import__('os')", None), ("96,55", None),
    ],
)  # fmt: skip
def test_numbers_and_products(text, value):
    assert quiz.number(text) == value


def test_shapes_as_people_write_them():
    for text in ("96x55x55", "(96, 55, 55)", "96 55 55", "96,55,55"):
        assert quiz.is_shape(text, (96, 55, 55))
    assert quiz.is_shape("64,224,224", (64, 224, 224))
    assert quiz.is_shape("4,096", (4096,))
    assert not quiz.is_shape("", (96,))
    assert not quiz.is_shape("96x55", (96, 55, 55))


@pytest.mark.slow
def test_the_network_of_a_classifier_alone(rlgen):
    words = ("classify", "digits", "--network", "lenet5", "--size", 28, "--seeds", 2, "--budget", 200, "--quiet")
    assert rlgen(*words)[0] == 0
    code, out, err = rlgen("summary", "latest")
    assert code == 0, err
    assert out.startswith("lenet5 on inputs of 1x28x28\n")
    assert re.search(r"^parameters +61,706, all trainable$", out, re.MULTILINE)
    assert re.search(r"^time .* min per pass over 1,[0-9]{3} images, measured in its training", out, re.MULTILINE)
