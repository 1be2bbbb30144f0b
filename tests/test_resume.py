"""A run that is stopped and resumed equals an uninterrupted one: every byte of its logs, every bit of its state."""

import json
import random
import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from rlgen.catalog import CATALOG
from rlgen.core import checkpoint
from rlgen.core.errors import Interrupted
from rlgen.core.fit import fit
from rlgen.core.folder import Folder
from rlgen.core.settings import Plan, Setup
from rlgen.session import prepare, reopen

ROOT = Path(__file__).parents[1]
AGENT = {
    "train_freq": 4,
    "gradient_steps": 1,
    "tau": 1.0,
    "width": 8,
    "buffer_size": 200,
    "learning_starts": 100,
    "batch": 16,
    "target_update_interval": 60,
    "epsilon_steps": 300,
}
AGENT_PLAN = {"budget": 600, "log_every": 50, "eval_every": 300, "save_every": 100, "eval_episodes": 5}
TABLE_PLAN = {"budget": 1_400, "log_every": 100, "eval_every": 700, "save_every": 300, "eval_episodes": 3}
RAINBOW = {name: value for name, value in AGENT.items() if name != "epsilon_steps"} | {"atoms": 11}
RECURRENT = {"length": 6, "burn_in": 3, "train_freq": 8}
MODEL = {"width": 2, "latent": 4, "batch": 100, "threads": 1}
RESIDUAL = {"size": 8, "architecture": "residual", "r1_weight": 1.0, "r1_interval": 4, "augment": "diffaugment"}
LINEAR = {"schedule": "linear", "lr_end": 1e-5, "lr_steps": 500}
COSINE = {"schedule": "cosine", "lr_steps": 1_200}
CODER = {"width": 8, "depth": 1, "latent": 4, "batch": 100, "threads": 1, **COSINE}
WORDS = {"width": 4, "codebook_size": 8, "code_dim": 4, "prior_width": 8, "prior_blocks": 1, "batch": 100, "threads": 1}
PIXELS = {"width": 4, "head_width": 4, "first_kernel": 3, "batch": 100, "threads": 1, **COSINE}
SCANS = {**PIXELS, "layers": 1}
NETWORK = {"width": 0.25, "batch": 100, "threads": 1}
MODEL_PLAN = {"budget": 1_500, "log_every": 150, "eval_every": 750, "save_every": 250}  # a little more than an epoch
SUCCESSIVE = {"members": 4, "lr_steps": 1_500}  # parts of the training that end between checkpoints
CASES = {
    "dqn": ("dqn", "CartPole", {**AGENT, **AGENT_PLAN}),
    "dqn with everything": (
        "dqn",
        "CartPole",
        {
            **AGENT,
            **AGENT_PLAN,
            "seeds": 3,
            "n_step": 3,
            "double": True,
            "tau": 0.1,
            "num_envs": 2,
            "seed": 7,
        },
    ),
    "dqn on a lake": ("dqn", "FrozenLake", {**AGENT, **AGENT_PLAN, "loss": "mse"}),
    "dqn with a mask": (
        "dqn",
        "Taxi",
        {**AGENT, **AGENT_PLAN, "munchausen": 0.9, "alpha": 0.5, "dueling": True, "max_episode_steps": 40},
    ),
    "dqn on large images": (
        "dqn",
        "tests.envs.toy_environments:TestSmallImage-v0",
        {**AGENT, **AGENT_PLAN, "depth": 1, "frame_stack": 2},
    ),
    "dqn with an encoder": (
        "dqn",
        "tests.envs.toy_environments:TestSmallImage-v0",
        {**AGENT, **AGENT_PLAN, "depth": 1, "encoder": "lenet5", "seeds": 2},
    ),
    "c51": ("c51", "CartPole", {**AGENT, **AGENT_PLAN, "atoms": 11}),
    "qrdqn": ("qrdqn", "CartPole", {**AGENT, **AGENT_PLAN, "quantiles": 5, **LINEAR}),
    "rainbow": ("rainbow", "CartPole", {**RAINBOW, **AGENT_PLAN}),
    "rainbow of two seeds": ("rainbow", "CartPole", {**RAINBOW, **AGENT_PLAN, "seeds": 2, "num_envs": 2}),
    "drqn": ("drqn", "CartPoleHidden", {**AGENT, **RECURRENT, **AGENT_PLAN, "alpha": 0.5}),
    "qlearning": ("qlearning", "GridWorld", {**TABLE_PLAN, "seeds": 3, "num_envs": 2, "epsilon_steps": 900}),
    "qlearning with masks": ("qlearning", "Taxi", {**TABLE_PLAN, "lr_decay": 0.0}),
    "gan": ("gan", "digits", {**MODEL, **MODEL_PLAN, "conditional": True}),
    "lsgan adapting": ("lsgan", "digits", {**MODEL, **MODEL_PLAN, "augment": "adaptive", "augment_images": 2_000}),
    "residual hinge": ("hinge", "digits", {**MODEL, **MODEL_PLAN, **RESIDUAL}),
    "gan with a network": ("gan", "digits", {**MODEL, **MODEL_PLAN, "size": 12, "discriminator": "lenet5"}),
    "wgan-gp": ("wgan-gp", "digits", {**MODEL, **MODEL_PLAN, "size": 8, "discriminator_width": 4, "critic_steps": 4}),
    "ae": ("ae", "digits", {**CODER, **MODEL_PLAN, "noise_std": 0.3, "k_sparse": 2}),
    "ae of convolutions": ("ae", "digits", {**CODER, **MODEL_PLAN, "network": "convolutional", "mask_fraction": 0.3}),
    "vae": ("vae", "digits", {**CODER, **MODEL_PLAN, "conditional": True, "kl_warmup": 1_000}),
    "vae of greys": ("vae", "digits", {**CODER, **MODEL_PLAN, "likelihood": "mixture", "free_bits": 0.1}),
    "vqvae": ("vqvae", "digits", {**WORDS, **MODEL_PLAN, "conditional": True}),
    "pixelcnn": ("pixelcnn", "digits", {**PIXELS, **MODEL_PLAN, "width_multiplier": 2, "conditional": True}),
    "gated-pixelcnn": (
        "gated-pixelcnn",
        "digits",
        {**PIXELS, **MODEL_PLAN, "blocks": 2, "levels": 2, "width_multiplier": 1},
    ),
    "pixelrnn by diagonals": ("pixelrnn", "digits", {**SCANS, **MODEL_PLAN, "scan": "diagonal"}),
    "pixelcnn in half precision": (
        "pixelcnn",
        "digits",
        {**PIXELS, **MODEL_PLAN, "levels": 1, "precision": "bfloat16"},
    ),
    "pixelrnn": ("pixelrnn", "digits", {**SCANS, **MODEL_PLAN, "likelihood": "bernoulli", "binarise": "static"}),
    "classify": ("classify", "digits", {**NETWORK, **MODEL_PLAN, "augment": "shift,mixup", "schedule": "one-cycle"}),
    "classify with seeds": ("classify", "digits", {**NETWORK, **MODEL_PLAN, "seeds": 2, "dropout": 0.3}),
    "average": ("classify", "digits", {**NETWORK, **MODEL_PLAN, "ensemble": "average", "members": 3}),
    "bagging of convolutions": (
        "classify",
        "digits",
        {**NETWORK, **MODEL_PLAN, "network": "fast", "ensemble": "bagging", "members": 2, "augment": "shift"},
    ),
    "boosting": ("classify", "digits", {**NETWORK, **MODEL_PLAN, "ensemble": "boosting", **SUCCESSIVE}),
    "snapshot": ("classify", "digits", {**NETWORK, **MODEL_PLAN, "ensemble": "snapshot", **SUCCESSIVE}),
    "folds": ("classify", "digits", {**NETWORK, **MODEL_PLAN, "folds": 3}),
    "knn": (
        "knn",
        "digits",
        {**MODEL_PLAN, "budget": 2_400, "log_every": 200, "eval_every": 1_200, "max_k": 3, "threads": 1},
    ),
}

# A new algorithm needs no line above: those of these settings that it has make it small.
SMALL = {
    "agent": {**RAINBOW, **AGENT_PLAN, **RECURRENT, "atoms": 1, "depth": 1},
    "classifier": {**NETWORK, **MODEL_PLAN},
    "model": {**MODEL, **WORDS, **PIXELS, **MODEL_PLAN, "depth": 1, "layers": 1, "blocks": 1},
}


def small(entry):
    """The task of its examples, or the smallest dataset, and settings that make an algorithm of the catalog small."""
    known = {f.name for settings in (entry.config, Setup, Plan) for f in fields(settings)}
    chosen = {name: value for name, value in SMALL[entry.kind.name].items() if name in known}
    return entry.name, entry.kind.fallback or entry.task, chosen


covered = {algorithm for algorithm, _, _ in CASES.values()}
CASES |= {name: small(entry) for name, entry in CATALOG.items() if name not in covered}


def start(case, runs, name, file=None, **given):
    algorithm, task, options = CASES[case]
    return prepare(algorithm, task, {**options, **given}, runs=runs, name=name, file=file)


def train(session):
    with session.run as run:
        fit(session.algorithm, run, session.plan)
    return run.directory


def stop(session, time, number=signal.SIGTERM):
    """Train until a signal arrives in the step that reaches `time`."""
    algorithm, step = session.algorithm, session.algorithm.step

    def interrupted():
        before, metrics = algorithm.time, step()
        if before < time <= algorithm.time:
            signal.raise_signal(number)
        return metrics

    algorithm.step = interrupted
    with pytest.raises(Interrupted):
        train(session)
    return session.run.directory


RESUME = """
import json, sys
from pathlib import Path
from rlgen.session import prepare, reopen
from rlgen.core.fit import fit
from rlgen.core.folder import Folder

for directory, given in json.loads(sys.argv[1]):
    session = reopen(Folder(Path(directory)), given)
    with session.run as run:
        fit(session.algorithm, run, session.plan)
"""


def selected(items):
    """The cases of the tests that will run: all, or those chosen by `-k`."""
    parameters = [item.callspec.params for item in items if hasattr(item, "callspec")]
    chosen = {each["case"] for each in parameters if "case" in each}
    return [case for case in CASES if case in chosen]


@pytest.fixture(scope="module")
def runs(request, tmp_path_factory):
    """Each case three times: uninterrupted, saved at the half, stopped anywhere; the last two resumed elsewhere."""
    folder, later = tmp_path_factory.mktemp("runs"), []
    for case in selected(request.session.items):
        budget, draw = CASES[case][2]["budget"], random.Random(case)
        config = Folder(train(start(case, folder, f"{case} straight"))).info["config"]  # not scaled by half the budget
        half = start(case, folder, f"{case} half", config, budget=budget // 2)
        later.append((train(half), {"budget": budget}))
        anywhere = draw.randrange(budget // 4, budget * 9 // 10)
        later.append((stop(start(case, folder, f"{case} anywhere"), anywhere), {}))
    words = json.dumps([(str(directory), given) for directory, given in later])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RESUME, words], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder


def text(run):
    """The logs that do not depend on the clock."""
    logs = (run / name for name in ("metrics.jsonl", "episodes.jsonl"))
    return "".join(log.read_text() for log in logs if log.exists())


def state(run):
    """The state in the newest checkpoint, without durations."""
    saved = checkpoint.load(checkpoint.newest_first(run / "checkpoints")[0])
    del saved["run"]["seconds"], saved["run"]["flushed"]
    return saved


def differences(one, other, path=""):
    """The paths at which two states differ in any bit."""
    if isinstance(one, torch.Tensor):
        same = one.dtype == other.dtype and one.shape == other.shape and torch.equal(bits(one), bits(other))
        return [] if same else [path]
    if isinstance(one, dict) and list(one) == list(other):
        return [d for key in one for d in differences(one[key], other[key], f"{path}.{key}")]
    if isinstance(one, list | tuple) and len(one) == len(other):
        return [d for i, pair in enumerate(zip(one, other, strict=True)) for d in differences(*pair, f"{path}.{i}")]
    return [] if type(one) is type(other) and one == other else [path]


def bits(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8) if tensor.numel() else tensor


def pictures(run):
    return {path.name: path.read_bytes() for path in run.glob("samples/*.png")}


def test_every_algorithm_is_covered():
    assert {algorithm for algorithm, _, _ in CASES.values()} == set(CATALOG)


@pytest.mark.parametrize("entry", CATALOG.values(), ids=CATALOG)
def test_a_new_algorithm_would_be_small_without_settings_of_its_own(entry, tmp_path):
    algorithm, task, settings = small(entry)
    made = prepare(algorithm, task, settings, runs=tmp_path)
    assert made.plan.budget <= 1_500
    assert made.algorithm.parameter_count() < 100_000


def test_differences_are_found():
    one = {"a": [torch.tensor([0.0, 1.0]), 3], "b": ("x", None)}
    assert differences(one, {"a": [torch.tensor([0.0, 1.0]), 3], "b": ("x", None)}) == []
    assert differences(one, {"a": [torch.tensor([-0.0, 1.0]), 3.0], "b": ("x", "")}) == [".a.0", ".a.1", ".b.1"]
    assert differences(one, {"a": [torch.tensor([0.0, 1.0])], "b": ("x", None)}) == [".a"]


@pytest.mark.parametrize("how", ["half", "anywhere"])
@pytest.mark.parametrize("case", CASES)
def test_a_resumed_run_equals_an_uninterrupted_one(runs, case, how):
    straight, resumed = runs / f"{case} straight", runs / f"{case} {how}"
    assert text(resumed) == text(straight)
    assert len(text(straight).splitlines()) > 10
    assert (straight / "episodes.jsonl").exists() == (CATALOG[CASES[case][0]].kind.name == "agent")
    saved = state(straight)
    assert saved["time"] >= CASES[case][2]["budget"]
    assert differences(saved, state(resumed)) == []
    assert pictures(resumed) == pictures(straight)
    assert Folder(resumed).info["status"] == "finished"
    timing = [row["time"] for row in Folder(resumed).rows("timing.jsonl")]
    assert timing == [row["time"] for row in Folder(straight).rows("timing.jsonl")]


@pytest.mark.parametrize("case", CASES)
def test_weights_change_in_training(runs, case):
    """Otherwise resumed runs would equal uninterrupted ones without any training."""
    trained, fresh = state(runs / f"{case} straight"), start(case, runs, f"{case} fresh").algorithm.state_dict()
    name = next(name for name in ("generator", "network", "q", "right") if name in trained)
    assert differences(trained[name], fresh[name]) != []


@pytest.mark.parametrize("case", ["dqn"])
def test_stopping_many_times_changes_nothing(runs, case, tmp_path):
    session, draw = start(case, tmp_path, "often"), random.Random(0)
    for time in sorted(draw.sample(range(1, 590), 6)):
        stop(session, time, draw.choice([signal.SIGINT, signal.SIGTERM]))
        session = reopen(Folder(session.run.directory), {})
    resumed = train(session)
    assert text(resumed) == text(runs / f"{case} straight")
    assert differences(state(resumed), state(runs / f"{case} straight")) == []


@pytest.mark.parametrize("case", ["dqn"])
def test_evaluations_do_not_change_the_training(runs, case, tmp_path):
    rarely = train(start(case, tmp_path, "rarely", eval_every=10**9, log_every=10**9, save_every=10**9))
    often = train(start(case, tmp_path, "often", eval_every=20, log_every=10, save_every=30))
    for run in (rarely, often):
        one, other = state(run), state(runs / f"{case} straight")
        del one["run"], other["run"]
        assert differences(one, other) == []
