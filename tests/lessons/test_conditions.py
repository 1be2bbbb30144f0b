import pytest

from rlgen.core.errors import UserError
from rlgen.lessons.conditions import design
from rlgen.lessons.schema import Lesson


def lesson(**runs):
    return Lesson(
        title="t", claim="c", minutes=1, text="", values={}, panels=[{"kind": "bars", "values": []}],
        quick={"minutes": 1, "task": "digits", "options": {"budget": 9}}, runs=[{"train": "ae mnist", **runs}],
    )  # fmt: skip


def test_a_grid_has_a_condition_for_every_combination():
    made = design(lesson(name="r-{lr}", grid={"lr": [0.1, 1.0], "latent": [2, 4]}), quick=False)
    assert list(made.conditions) == ["r-0.1-2", "r-0.1-4", "r-1-2", "r-1-4"]
    assert made.conditions["r-1-4"].options == {"lr": 1.0, "latent": 4}
    assert made.conditions["r-1-4"].words == ("ae", "mnist")
    assert [c.name for c in made.group("r")] == list(made.conditions)
    assert [c.name for c in made.group("r-1-2")] == ["r-1-2"]
    assert made.group("s") == []


def test_a_point_may_set_several_options_under_one_name():
    made = design(lesson(name="n", grid={"size": [{"name": "small", "width": 8, "depth": 1}]}), quick=False)
    assert made.conditions["n-small"].options == {"width": 8, "depth": 1}


def test_an_option_of_the_grid_may_be_the_task():
    made = design(lesson(name="n", train="ae {data}", grid={"data": ["mnist", "digits"]}), quick=False)
    assert [c.words for c in made.conditions.values()] == [("ae", "mnist"), ("ae", "digits")]
    assert all(c.options == {} for c in made.conditions.values())


def test_the_quick_version_replaces_options_grid_task_and_count():
    runs = {"name": "n", "grid": {"lr": [0.1, 1.0]}, "options": {"budget": 100, "width": 4}, "count": 5}
    made = design(lesson(**runs, quick={"grid": {"lr": [0.5]}, "options": {"width": 2}, "count": 1}), quick=True)
    assert [(c.name, c.words, c.options) for c in made.conditions.values()] == [
        ("n-0.5", ("ae", "digits"), {"budget": 9, "width": 2, "lr": 0.5})
    ]
    with pytest.raises(UserError, match="did you mean lr"):
        design(lesson(**runs, quick={"grid": {"lrr": [0.5]}}), quick=True)


def test_random_points_differ_between_seeds_and_points_and_stay_in_their_range():
    made = design(lesson(name="n", random={"lr": [1e-4, 1.0]}, count=3), quick=False)
    assert list(made.conditions) == ["n-1", "n-2", "n-3"]
    drawn = [c.drawn(seed)["lr"] for c in made.conditions.values() for seed in range(40)]
    assert len(set(drawn)) > 115
    assert all(1e-4 <= lr <= 1 for lr in drawn)
    assert 0.3 < sum(lr < 1e-2 for lr in drawn) / len(drawn) < 0.7  # log-uniform: half of it below the middle
    assert drawn == [c.drawn(seed)["lr"] for c in made.conditions.values() for seed in range(40)]


def test_names_must_differ():
    with pytest.raises(UserError, match="two conditions"):
        design(lesson(name="n", grid={"lr": [0.1, 0.1]}), quick=False)
