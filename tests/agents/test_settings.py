"""Settings that contradict each other are refused in one line, in whatever way they are given."""

import pytest
from rlgen.agents.settings import DQN, DRQN

from rlgen.cli.main import main
from rlgen.core.config import resolve
from rlgen.core.errors import UserError
from rlgen.session import prepare


def refused(settings, **given):
    with pytest.raises(UserError) as caught:
        resolve(settings, given)
    assert "\n" not in str(caught.value)
    assert caught.value.code == 2
    return str(caught.value)


@pytest.mark.parametrize("settings", [DQN, DRQN])
def test_two_kinds_of_distribution_at_once(settings):
    assert refused(settings, atoms=51, quantiles=25) == "--atoms 51 with --quantiles 25: choose one; 1 turns one off"
    resolve(settings, {"atoms": 51, "quantiles": 1})


@pytest.mark.parametrize(("low", "high"), [(10, 10), (5, -5)])
def test_a_support_without_room(low, high):
    assert refused(DQN, atoms=51, v_min=low, v_max=high) == f"--v-min {low} is not below --v-max {high}"
    resolve(DQN, {"v_min": low, "v_max": high})  # which nobody asks for without atoms


def test_a_batch_larger_than_the_replay():
    assert refused(DQN, batch=65, buffer_size=64) == "--batch 65 is more than --buffer-size 64 holds"
    resolve(DQN, {"batch": 64, "buffer_size": 64})


@pytest.mark.parametrize(
    ("num_envs", "n_step", "frame_stack", "least"),
    [(1, 5, 1, 5), (3, 5, 1, 15), (3, 1, 1, 3), (1, 1, 4, 4), (2, 3, 4, 12)],
)
def test_a_window_beyond_the_replay(build, num_envs, n_step, frame_stack, least):
    """The least that is told to do does, the replay gone round several times."""
    given = {"num_envs": num_envs, "n_step": n_step, "frame_stack": frame_stack, "batch": 1}
    told = refused(DQN, buffer_size=least - 1, **given)
    assert told.startswith(f"--buffer-size {least - 1} in --num-envs {num_envs} holds no window of --n-step {n_step}")
    assert told.endswith(f": {least} would do")
    assert ("--frame-stack 4" in told) == (frame_stack == 4)
    agent = build("TestVector", buffer_size=least, learning_starts=0, train_freq=num_envs, **given)
    assert "loss" in [agent.step() for _ in range(30)][-1]


@pytest.mark.parametrize(("num_envs", "frame_stack", "least"), [(1, 1, 9), (3, 1, 27), (2, 4, 24)])
def test_a_sequence_beyond_the_replay(build, num_envs, frame_stack, least):
    given = {"num_envs": num_envs, "frame_stack": frame_stack, "batch": 1, "burn_in": 3, "length": 5}
    told = refused(DRQN, buffer_size=least - 1, **given)
    assert "--burn-in 3, --length 5 and --n-step 1" in told
    agent = build("TestVector", recurrent=True, buffer_size=least, learning_starts=0, train_freq=num_envs, **given)
    assert "loss" in [agent.step() for _ in range(30)][-1]


@pytest.mark.parametrize(
    ("on", "named"),
    [
        ({"noisy": True}, ("epsilon", "epsilon_end", "epsilon_steps")),
        ({"atoms": 51}, ("loss",)),
        ({"quantiles": 5}, ("loss",)),
        ({}, ("beta", "beta_steps", "v_min", "v_max", "temperature", "lr_steps")),
    ],
)
def test_what_would_change_nothing_is_told(on, named):
    for name in named:
        with pytest.raises(UserError, match=rf"^--{name.replace('_', '-')} would change nothing: .+$"):
            DQN(**on).check([name, "lr"])
    DQN(**on).check(["lr", "gamma", *on])


def test_what_changes_something_is_not():
    DQN().check(["epsilon", "epsilon_end", "epsilon_steps", "loss"])
    DQN(alpha=0.5).check(["beta", "beta_steps"])
    DQN(atoms=51).check(["v_min", "v_max"])
    DQN(munchausen=0.9).check(["temperature"])
    DQN(lr_end=1e-5).check(["lr_steps"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["rainbow", "CartPole", "--epsilon", "0.5"], "--epsilon would change nothing: --noisy"),
        (["dqn", "CartPole", "--noisy", "--epsilon-end", "0.1"], "--epsilon-end would change nothing: --noisy"),
        (["c51", "CartPole", "--loss", "mse"], "--loss would change nothing: --atoms"),
        (["qrdqn", "CartPole", "--loss", "mse"], "--loss would change nothing: --quantiles"),
        (["qrdqn", "CartPole", "--atoms", "51"], "--atoms 51 with --quantiles 25: choose one"),
        (["c51", "CartPole", "--v-min", "200"], "--v-min 200 is not below --v-max"),
        (
            ["dqn", "CartPole", "--batch", "100", "--buffer-size", "50"],
            "--batch 100 is more than --buffer-size 50 holds",
        ),
        (["drqn", "CartPole", "--length", "99999"], "holds no window of --burn-in 8, --length 99999"),
    ],
)
def test_the_command_line_refuses_what_presets_contradict(monkeypatch, capsys, tmp_path, words, told):
    """Also where the other half comes from what the name stands for; and no run is begun."""
    monkeypatch.setattr("sys.argv", ["rlgen", *words, "--runs", str(tmp_path)])
    with pytest.raises(SystemExit) as left:
        main()
    out, err = capsys.readouterr()
    assert left.value.code == 2
    assert told in err
    assert (out, err.count("\n")) == ("", 1)
    assert not list(tmp_path.iterdir())


def test_what_presets_say_of_epsilon_is_no_contradiction(tmp_path):
    """The tuned settings of dqn hold a schedule of epsilon, and rainbow starts from them."""
    made = prepare("rainbow", "CartPole", {"width": 4}, runs=tmp_path).algorithm
    assert made.config.noisy
    assert made.epsilon == 0
