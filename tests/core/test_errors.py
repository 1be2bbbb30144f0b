import pytest

from rlgen.core import errors
from rlgen.core.errors import did_you_mean

CODES = {
    "UserError": 2, "NotFinite": 3, "Diverged": 3, "CheckpointError": 4, "NewerCheckpoint": 4, "DataError": 5,
    "StorageError": 7, "EnvironmentFault": 8, "ProcessLost": 9,
}  # fmt: skip


def test_exit_codes_are_stable():
    """Scripts depend on them."""
    found = {name: kind.code for name, kind in vars(errors).items() if isinstance(kind, type) and hasattr(kind, "code")}
    del found["Interrupted"]  # has the code of its signal
    assert found == CODES


@pytest.mark.parametrize(("signum", "code"), [(2, 130), (15, 143)])
def test_an_interrupted_run_has_the_exit_code_of_shells(signum, code):
    error = errors.Interrupted(signum, "stopped")
    assert (error.code, error.saved, str(error)) == (code, True, "stopped")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("cartpole", ": did you mean CartPole?"),
        ("CartPoll", ": did you mean CartPole?"),
        ("Acrobat", ": did you mean Acrobot?"),
        ("zzz", ""),
    ],
)
def test_hints_for_similar_names(name, hint):
    assert did_you_mean(name, ["CartPole", "Acrobot", "MountainCar"]) == hint


def test_several_similar_names_are_all_given():
    assert did_you_mean("Pong1", ["Pong-1", "Pong-2"]) in (
        ": did you mean Pong-1 or Pong-2?",
        ": did you mean Pong-1?",
    )
