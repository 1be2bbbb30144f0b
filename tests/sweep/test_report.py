"""The report of a study from its folder alone: as JSON, as text and as pictures."""

import json

import pytest

from rlgen.core.errors import UserError
from rlgen.sweep import report as module
from rlgen.sweep import study as studies
from rlgen.sweep.report import Report, as_json, draw, lines
from tests.sweep.made_up import folder, study, trial


def made(runs, found, **options):
    return Report.of(studies.load(folder(runs, found, **options)))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The report of a study of 24 trials, some of them diverged, and three finalists."""
    return made(tmp_path_factory.mktemp("runs"), study(n=24, limit=4e-3))


def test_all_parts_as_json(found):
    told = json.loads(json.dumps(as_json(found), allow_nan=False))
    assert told["states"] == {"complete": told["states"]["complete"], "diverged": 24 - told["states"]["complete"]}
    assert told["seconds"]["test"] == pytest.approx(300)
    assert told["score"] == "return per episode"
    first = told["held_out"][0]
    assert first["gap"]["value"] == pytest.approx(first["selected"]["value"] - first["fresh"]["value"])
    assert (first["selected"]["seeds"], first["fresh"]["seeds"]) == (4, 8)
    assert first["command"].startswith("rlgen dqn CartPole-v1 --lr ")
    assert len(told["price"]["best"]) == 24
    assert set(told["sensitivity"]["falls"]) == set(told["importance"]["settings"]) == set(found.study.search)


def test_as_text(found):
    text = "\n".join(lines(found))
    best = found.finalists[0]
    assert f"{best.number:<10}" in text
    assert "CPU-seconds of tuning, 300 with fresh seeds" in text
    assert "together" in text
    assert "note: a choice among finalists by their fresh scores is a selection again" in text
    assert max(map(len, text.split("\n"))) < 160


def test_pictures_lie_in_the_folder_of_the_study(found):
    drawn = draw(found)
    assert [path.name for path in drawn] == [
        "history.png", "price.png", "parallel.png", "sensitivity.png", "importance.png"
    ]  # fmt: skip
    assert {path.parent for path in drawn} == {found.study.folder}


def test_few_trials_have_no_comparison_of_settings(tmp_path):
    few = made(
        tmp_path, [trial(1, [1.0], lr=1e-3), trial(2, [2.0], lr=1e-2)], search={"lr": "1e-4..1e-1:log"}, trials=5
    )
    told = as_json(few)
    assert (told["sensitivity"], told["importance"], told["held_out"]) == (None, None, [])
    assert "best     trial 2" in "\n".join(lines(few))
    notes = "\n".join(told["notes"])
    assert "3 of 5 trials have not ended: `rlgen sweep --join made-up` continues" in notes
    assert "nothing was trained with fresh seeds" in notes
    assert "one seed per trial" in notes
    assert "settings are compared from 8 trials on" in notes
    assert len(draw(few)) == 3


def test_where_lower_is_better_scores_keep_their_direction(tmp_path):
    trials = [
        trial(1, [90.0, 92.0, 90.0, 92.0], lr=1e-3), trial(2, [80.0, 82.0, 80.0, 82.0], lr=1e-2),
        trial(2, [83.0, 85.0, 83.0, 85.0], role="test", lr=1e-2),
    ]  # fmt: skip
    told = as_json(made(tmp_path, trials, algorithm="vae", task="mnist", search={"lr": "1e-4..1e-1:log"}))
    assert (told["better"], told["score"]) == ("lower", "nats per image")
    (finalist,) = told["held_out"]
    assert (finalist["number"], finalist["selected"]["value"], finalist["fresh"]["value"]) == (2, 81, 84)
    assert finalist["gap"]["value"] == 3  # it was selected for a score that was too good by 3 nats
    assert all(each["low"] < each["value"] < each["high"] for each in map(finalist.get, ("selected", "fresh", "gap")))
    price = told["price"]
    assert price["best"] == pytest.approx([86, 81])
    assert all(low <= best <= high for low, best, high in zip(price["low"], price["best"], price["high"], strict=True))


def test_adaptive_samplers_and_settings_without_effect_are_noted(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "EXPLAINED", 2.0)
    notes = "\n".join(made(tmp_path, study(n=10, tests=0, limit=1.0), sampler="tpe").notes)
    assert "tpe draws later trials by the earlier ones" in notes
    assert "their importance says little" in notes


def test_a_finalist_that_diverged_with_a_fresh_seed_is_noted(tmp_path):
    trials = [trial(1, [1.0], lr=1e-3), trial(1, [], "diverged", role="test", lr=1e-3)]
    found = made(tmp_path, trials, search={"lr": "1e-4..1e-1:log"})
    assert "trial 1 diverged with a fresh seed" in list(found.notes)
    assert as_json(found)["held_out"][0]["fresh"]["value"] is None
    assert draw(found)


def test_nothing_to_report(tmp_path):
    with pytest.raises(UserError, match="no trial of 1 finished ones has a score"):
        made(tmp_path, [trial(1, [], "failed", lr=1e-3)], search={"lr": "1e-4..1e-1:log"})
