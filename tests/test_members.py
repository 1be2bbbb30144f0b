"""Members by `rlgen.train`: settings and seeds of a batch, refused in one line, resumed, scored."""

import json
from pathlib import Path

import pytest

import rlgen
from rlgen import members
from rlgen.core.errors import UserError
from rlgen.core.folder import Folder
from rlgen.session import prepare, reopen, restore
from tests.test_resume import stop, train

SMALL = {
    "train_freq": 4, "gradient_steps": 1, "width": 8, "depth": 1, "buffer_size": 200, "learning_starts": 50, "batch": 8,
    "budget": 300, "log_every": 50, "eval_every": 150, "save_every": 100, "eval_episodes": 2, "final_episodes": 3,
}  # fmt: skip
BATCH = [{"lr": 1e-3, "seed": 1}, {"lr": 1e-2}, {"gamma": 0.9, "lr": 3e-3, "seed": 4}]


def batch(runs, name, given=(), task="CartPole", algorithm="dqn", members=BATCH):
    return prepare(algorithm, task, {**SMALL, **dict(given)}, runs=Path(runs), name=name, batch=members)


def test_a_batch_is_trained_scored_and_loaded(tmp_path):
    run = rlgen.train("dqn", "CartPole", runs=tmp_path, seed=7, members=BATCH, **SMALL)
    scores = members.scores(run)
    assert run.info["members"] == [BATCH[0], {"lr": 1e-2, "seed": 7}, BATCH[2]]
    assert scores == run.result["per_seed"]
    assert len(scores) == run.info["config"]["seeds"] == 3
    rows = run.rows()
    assert len(rows[-1]["eval_return"]) == 3
    agent = rlgen.load(run)
    assert agent.members.seeds == (1, 7, 4)
    assert agent.members.number("lr").tolist() == [1e-3, 1e-2, 3e-3]
    assert agent.report(3, 0).values["per_seed"] == scores


def test_a_batch_that_was_stopped_goes_on_to_the_bit(tmp_path):
    whole, part = batch(tmp_path, "whole"), batch(tmp_path, "part")
    train(whole)
    directory = stop(part, 150)
    again = reopen(Folder(directory), {})
    assert again.algorithm.members.seeds == (1, 0, 4)
    train(again)
    logs = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "part")]
    assert logs[0] == logs[1]
    ends = [restore(Folder(tmp_path / name), experience=True).state_dict() for name in ("whole", "part")]
    assert ends[0]["rng"] == ends[1]["rng"]
    assert len(ends[0]["rng"]["generators"]) == 3
    for name, weight in ends[0]["q"].items():
        assert weight.equal(ends[1]["q"][name])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"members": [{"lr": 1e-3}, {"width": 16}]}, "member 1: members may not differ in width, only in seed, lr,"),
        ({"members": [{"n_step": 3}]}, "member 0: members may not differ in n_step, only in seed, lr,"),
        ({"members": [{"lrr": 3}]}, "member 0: dqn has no setting 'lrr': did you mean lr?"),
        ({"members": [{"lr": 0}]}, "member 0: --lr"),
        ({"members": [{"seed": -1}]}, "member 0: --seed"),
        ({"members": [{"gamma": "much"}]}, "member 0: --gamma"),
        ({"members": [1e-3, 1e-2]}, "members must be a list of settings by name"),
        ({"members": "lr"}, "members must be a list of settings by name"),
        ({"members": [{"lr": 1e-3}], "given": {"seeds": 2}}, "--seeds 2: the number of seeds is that of the members"),
        ({"members": [{"beta": 0.5}]}, "--beta has no effect: it belongs to prioritised replay"),
        ({"members": [{"seed": 1}], "algorithm": "gan", "task": "digits"}, "members: gan trains one at a time"),
        ({"members": [{"lr": 1e-3}, {"lr": 1e-2}], "given": {"schedule": "plateau"}}, "--schedule plateau goes by one"),
        (
            {"members": [{"lr": 1e-3}, {"lr": 1e-2}], "given": {"optimizer": "momentum", "warmup": 9}},
            "--optimizer momentum has its learning rate in the velocity",
        ),
    ],
)
def test_unfit_members_are_refused_in_one_line(tmp_path, given, message):
    if given.get("algorithm") == "gan":
        with pytest.raises(UserError, match=message):
            prepare("gan", "digits", {}, runs=tmp_path, batch=given["members"])
        return
    with pytest.raises(UserError) as error:
        batch(tmp_path, "run", **given)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_members_of_a_foreign_run_are_checked(tmp_path):
    made = batch(tmp_path, "run")
    info = made.run.info
    for unfit in ([{"width": 3}], [1], {"lr": 1}, "lr"):
        with pytest.raises(UserError, match="member"):
            members.settings_of(made.entry, made.algorithm.config, reopened_setup(info), unfit)


def reopened_setup(info):
    from rlgen.core.settings import Setup

    return Setup(seed=info["seed"])


def test_batchable_settings_are_named():
    assert members.batchable("dqn", ["lr", "gamma", "tau", "epsilon", "epsilon_end", "epsilon_steps", "seed"])
    assert members.batchable("rainbow", ["beta"])
    assert members.batchable("qlearning", ["lr_decay"])
    assert not members.batchable("dqn", ["lr", "width"])
    assert not members.batchable("qlearning", ["tau"])
    assert not members.batchable("gan", ["lr"])


def test_scores_of_a_run_without_an_end_or_with_one_seed(tmp_path):
    made = batch(tmp_path, "run")
    with pytest.raises(UserError, match="run has no final scores yet: `rlgen resume run` continues it"):
        members.scores(made.run)
    made.run.describe(result={"score": 4.0})
    assert members.scores(made.run) == [4.0]
    made.run.describe(result={"score": 4.0, "per_seed": [3.0, 5.0], "diverged": [0]})
    assert members.scores(made.run) == [None, 5.0]


def test_run_json_of_a_batch_is_plain_json(tmp_path):
    made = batch(tmp_path, "run")
    assert json.loads((made.run.directory / "run.json").read_text())["members"][1] == {"seed": 0, "lr": 1e-2}
