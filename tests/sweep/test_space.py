import pytest

from rlgen import catalog
from rlgen.core.errors import UserError
from rlgen.core.settings import Plan, Setup
from rlgen.sweep import space
from rlgen.sweep.space import Choices, Range

DQN = catalog.find("dqn")
SETTINGS = (DQN.config, Setup, Plan)


def parse(*entries):
    return space.parse(space.split(entries), SETTINGS)


@pytest.mark.parametrize(
    ("text", "dimension"),
    [
        ("lr=1e-4..1e-2:log", Range(1e-4, 1e-2, log=True)),
        ("gamma=0.9..0.99", Range(0.9, 0.99)),
        ("width=64..256:int", Range(64, 256, integer=True)),
        ("width=64..256:step=64", Range(64, 256, integer=True, step=64)),
        ("buffer-size=1_000..100_000:log", Range(1_000, 100_000, log=True, integer=True)),
        ("n_step=1,3,5", Choices((1, 3, 5))),
        ("--tau=0.01,1", Choices((0.01, 1.0))),
        ("double=on,off", Choices((True, False))),
        ("loss=huber,mse", Choices(("huber", "mse"))),
        ("v_min=none,-10", Choices((None, -10.0))),
    ],
)
def test_an_entry_is_a_dimension_by_the_type_of_its_setting(text, dimension):
    (found,) = parse(text).values()
    assert found == dimension
    assert all(type(value) is not float for value in found.ends()) or found != Choices((1, 3, 5))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lrr=0.1,0.2", "has no setting 'lrr': did you mean lr?"),
        ("lr", "is not NAME=LOW..HIGH"),
        ("lr=", "is not NAME=LOW..HIGH"),
        ("lr=,", "has no value"),
        ("lr=1e-2..1e-4", "is empty: 0.01 is not below 0.0001"),
        ("lr=0.1..0.1", "is empty"),
        ("lr=0..1:log", "begins above 0"),
        ("lr=a..1", "'a' is no number"),
        ("lr=0.1..inf", "finite ends"),
        ("lr=0.1..1:lgo", "'lgo' is no kind of range: did you mean log?"),
        ("lr=0.1..1:step=3", "step must be above 0 and within the range"),
        ("width=1.5..8", "width is an integer"),
        ("n_step=1,2.5", "n_step is an integer, not 2.5"),
        ("n_step=1,1", "names a value twice"),
        ("double=maybe", "double is on or off"),
        ("loss=hubber", "loss is huber, mse: did you mean huber?"),
        ("loss=1..2", "loss is no number: list its values, such as loss=huber,mse"),
    ],
)
def test_what_is_no_dimension_is_refused_in_one_line(text, words):
    with pytest.raises(UserError) as refused:
        parse(text)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_entry_that_is_there_twice_is_refused():
    with pytest.raises(UserError, match="lr is there twice"):
        parse("lr=0.1,0.2", "--lr=0.3")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gamma=0.5..1.5", "--search gamma: --gamma 1.5: input should be less than or equal to 1"),
        ("seed=1,2", "--search seed: --seed is that of the study"),
        ("seeds=1,2", "--seeds is that of the trials"),
        ("device=cpu,cuda", "it changes no score"),
    ],
)
def test_values_that_no_trial_may_have_are_refused(text, words):
    with pytest.raises(UserError) as refused:
        space.check(parse(text), DQN, [])
    assert words in str(refused.value)


def test_values_that_depend_on_others_are_not_refused():
    space.check(parse("batch=32,100_000", "buffer_size=1_000..200_000"), DQN, [])


def test_the_points_of_a_grid_are_all_combinations():
    found = parse("lr=1e-4..1e-2:log", "n_step=1,3", "width=64..192:step=64")
    assert space.size(found) == 5 * 2 * 3
    points = [space.point(found, index) for index in range(30)]
    assert len({tuple(point.items()) for point in points}) == 30
    assert sorted({point["lr"] for point in points}) == pytest.approx([1e-4, 10**-3.5, 1e-3, 10**-2.5, 1e-2])
    assert {point["width"] for point in points} == {64, 128, 192}
    assert points[0] == {"lr": 1e-4, "n_step": 1, "width": 64}
    assert list(points[0]) == ["lr", "n_step", "width"]
    assert all(type(point["width"]) is int for point in points)
