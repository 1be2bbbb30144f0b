"""What a trained agent needs for acting is read without its replay buffer and environments; a resume reads all."""

import shutil

import numpy as np
import pytest
import torch

import rlgen
from rlgen.agents.replay import Replay
from rlgen.core import checkpoint, segments
from rlgen.core.errors import CheckpointError
from rlgen.core.folder import Folder
from rlgen.envs.vector_env import VectorEnv
from tests.agents import tasks  # noqa: F401  # registers its environments

OPTIONS = {
    "width": 8, "batch": 8, "learning_starts": 20, "buffer_size": 150, "save_every": 50, "eval_episodes": 1,
    "final_episodes": 1, "log_every": 50, "eval_every": 150, "target_update_interval": 40, "threads": 1,
    "train_freq": 4, "gradient_steps": 1,
}  # fmt: skip
TRAINED = {
    "dqn": ("dqn", "CartPole", {"num_envs": 2, "seeds": 2, "n_step": 2, "alpha": 0.5}),
    "drqn": ("drqn", "CartPoleHidden", {"length": 5, "burn_in": 3}),
}


@pytest.fixture(autouse=True)
def several_segments(monkeypatch):
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 2_000)


@pytest.fixture(scope="module", params=TRAINED)
def trained(request, tmp_path_factory):
    algorithm, task, options = TRAINED[request.param]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "SEGMENT_BYTES", 2_000)
        runs = tmp_path_factory.mktemp(request.param)
        return rlgen.train(algorithm, task, runs=runs, budget=400, seed=3, **OPTIONS, **options)


@pytest.fixture
def copied(trained, tmp_path):
    return Folder(shutil.copytree(trained.directory, tmp_path / "copy"))


def newest(folder):
    return checkpoint.newest_first(folder.directory / "checkpoints")[0]


def damage(folder):
    for path in (folder.directory / "checkpoints").glob("*/*@*"):
        path.write_bytes(bytes(path.stat().st_size))


def refuse(*words):
    raise AssertionError("the training environments were restored")


def observations(agent):
    return np.random.default_rng(0).normal(size=(9, *agent.env.shape)).astype(np.float32)


def test_acting_reads_neither_rows_nor_environments(copied, monkeypatch):
    whole = rlgen.load(copied, experience=True)
    assert len(list(newest(copied).glob("*@*"))) > 2
    damage(copied)

    monkeypatch.setattr(VectorEnv, "load_state_dict", refuse)
    agent = rlgen.load(copied)
    assert agent.replay.count == 0
    assert whole.replay.count > 100
    assert agent.time == whole.time == 400
    for name, value in whole.q.state_dict().items():
        assert torch.equal(agent.q.state_dict()[name], value)
    obs = observations(agent)
    assert np.array_equal(agent.predict(obs)[0], whole.predict(obs)[0])
    assert agent.rollout(2, 0).tolist() == whole.rollout(2, 0).tolist()
    agent.step()  # a training from here begins with an empty buffer


def test_a_resume_reads_all_and_says_what_is_left_where_it_is_damaged(copied):
    damage(copied)
    for read in (lambda: rlgen.load(copied, experience=True), lambda: rlgen.resume(copied, budget=500)):
        with pytest.raises(CheckpointError, match=r"every checkpoint of copy is damaged: .* its weights are whole"):
            read()
    for path in (copied.directory / "checkpoints").glob("*/tensors.safetensors"):
        path.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"every checkpoint of copy is damaged: train again, with .*json`$"):
        rlgen.resume(copied, budget=500)


def test_a_run_without_rows_of_a_segment_is_continued_from_the_checkpoint_before(copied, caplog):
    last = newest(copied)
    former = checkpoint.newest_first(copied.directory / "checkpoints")[1]
    alone = next(path for path in last.glob("*@*") if not (former / path.name).exists())
    alone.write_bytes(bytes(alone.stat().st_size))
    rlgen.resume(copied, budget=450)
    assert f"{last.name} is damaged" in caplog.text
    assert checkpoint.verify(newest(copied)) == checkpoint.SCHEMA
    assert int(newest(copied).name) >= 450


def flat(replay):
    """The state of a replay buffer in a checkpoint of schema 2."""
    rows = (min(replay.count, replay.rows) + 1) * replay.width
    saved = {name: torch.as_tensor(getattr(replay, name))[:rows].clone() for name in replay.columns}
    frames = {name: torch.as_tensor(getattr(replay.frames, name))[:rows].clone() for name in replay.frames.columns}
    saved["frames"] = {**frames, **replay.frames.state_dict()}
    saved |= {name: getattr(replay, name) for name in ("count", "ready")}
    saved |= {"rng": replay.rng.bit_generator.state, "largest": torch.from_numpy(replay.largest)}
    if replay.priorities is not None:
        saved["priorities"] = torch.from_numpy(replay.priorities.of[:, : rows // replay.seeds].copy())
    return saved


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize(
    "budget", [pytest.param(100, marks=pytest.mark.slow), 300]
)  # before and after rows are overwritten
def test_a_checkpoint_of_schema_2_is_continued_to_the_bit(name, budget, tmp_path, monkeypatch):
    algorithm, task, options = TRAINED[name]
    given = {**OPTIONS, **options, "seed": 3, "eval_every": 10**6}
    straight = rlgen.train(algorithm, task, runs=tmp_path / "straight", budget=budget, **given)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "SCHEMA", 2)
        patch.setattr(Replay, "state_dict", flat)
        former = rlgen.train(algorithm, task, runs=tmp_path / "former", budget=budget, **given)
        assert not list(newest(former).glob("*@*"))
    for run in (straight, former):
        rlgen.resume(run, budget=budget + 100)
    text = [(run.directory / "metrics.jsonl").read_text() for run in (straight, former)]
    assert text[0] == text[1]
    files = [{path.name: path.read_bytes() for path in newest(run).iterdir()} for run in (straight, former)]
    assert files[0]["tensors.safetensors"] == files[1]["tensors.safetensors"]
    rows = [checkpoint.load(newest(run))["replay"]["rows"] for run in (straight, former)]
    ends = [
        {column: x.clone() for column, x in piece.items()} for each in rows for _, piece in list(each.pieces())[-1:]
    ]
    assert all(torch.equal(x, ends[1][column]) for column, x in ends[0].items())


def test_a_table_is_loaded_without_its_environments(tmp_path, monkeypatch):
    run = rlgen.train("qlearning", "FrozenLake", runs=tmp_path, budget=400, save_every=400, eval_every=400)
    whole = rlgen.load(run, experience=True)
    monkeypatch.setattr(VectorEnv, "load_state_dict", refuse)
    assert np.array_equal(rlgen.load(run).q, whole.q)
    with pytest.raises(CheckpointError, match="were restored"):
        rlgen.load(run, experience=True)
