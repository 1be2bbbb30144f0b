import pytest

from rlgen.cli import parallel
from rlgen.core.errors import UserError
from rlgen.session import prepare


@pytest.fixture
def processes(monkeypatch):
    """Makes this process one of two of torchrun."""

    def place(rank):
        for name, value in {"RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 1}.items():
            monkeypatch.setenv(name, str(value))

    return place


@pytest.mark.parametrize(
    "words", [["gan", "mnist"], ["GAN", "mnist"], ["resume", "latest"], ["classify", "mnist"], ["dqn", "CartPole"]]
)
def test_the_first_process_trains(processes, words):
    processes(0)
    assert not parallel.followed(words)


@pytest.mark.parametrize("words", [["lesson"], ["eval", "latest"], ["find-lr", "gan", "mnist"], ["--version"], []])
def test_other_commands_are_refused_in_one_line_by_the_first_process_alone(processes, words):
    processes(0)
    with pytest.raises(UserError, match=r"^torchrun: `rlgen.* runs in one process: start it without torchrun; .*$"):
        parallel.followed(words)
    processes(1)
    assert parallel.followed(words)


def test_a_process_that_follows_prints_no_help(processes, capsys):
    processes(1)
    assert parallel.followed(["gan", "--help"])
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("algorithm", "task", "options", "message"),
    [
        ("dqn", "CartPole", {}, "torchrun: dqn trains in one process: start `rlgen dqn CartPole` without it"),
        ("knn", "digits", {}, "torchrun: knn trains in one process"),
        ("gan", "digits", {"batch": 63}, "--batch 63 cannot be shared out equally among the 2 processes of torchrun"),
        ("classify", "digits", {"seeds": 2}, "2 networks are trained side by side"),
        ("classify", "digits", {"optimizer": "lbfgs"}, "--optimizer lbfgs takes the whole training set"),
    ],
)
def test_what_cannot_be_shared_out_makes_no_folder(processes, tmp_path, algorithm, task, options, message):
    processes(0)
    with pytest.raises(UserError, match=message):
        prepare(algorithm, task, options, runs=tmp_path)
    assert list(tmp_path.iterdir()) == []
