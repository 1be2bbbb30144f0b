"""Contradictory settings are refused in one line, from the command line, a file or a preset."""

import pytest

from rlgen.agents.settings import DQN, DRQN
from rlgen.cli.main import main
from rlgen.core.config import refuse_unused, resolve
from rlgen.core.errors import UserError
from rlgen.session import prepare


def refused(settings, **given):
    with pytest.raises(UserError) as caught:
        resolve(settings, given)
    assert "\n" not in str(caught.value)
    assert caught.value.code == 2
    return str(caught.value)


@pytest.mark.parametrize("settings", [DQN, DRQN])
def test_atoms_and_quantiles_exclude_each_other(settings):
    assert refused(settings, atoms=51, quantiles=25) == "--atoms 51 with --quantiles 25: set one of them to 1"
    resolve(settings, {"atoms": 51, "quantiles": 1})


@pytest.mark.parametrize(("low", "high"), [(10, 10), (5, -5)])
def test_an_empty_support_is_refused(low, high):
    assert refused(DQN, atoms=51, v_min=low, v_max=high) == f"--v-min {low} is not below --v-max {high}"
    resolve(DQN, {"v_min": low, "v_max": high})  # has no effect without atoms


def test_a_batch_larger_than_the_replay_buffer_is_refused():
    assert refused(DQN, batch=65, buffer_size=64) == "--batch 65 is more than --buffer-size 64"
    resolve(DQN, {"batch": 64, "buffer_size": 64})


@pytest.mark.parametrize(
    ("num_envs", "n_step", "frame_stack", "least"),
    [(1, 5, 1, 5), (3, 5, 1, 15), (3, 1, 1, 3), (1, 1, 4, 4), (2, 3, 4, 12)],
)
def test_a_replay_buffer_too_small_for_a_window_is_refused(build, num_envs, n_step, frame_stack, least):
    """The smallest size in the message works, also after the ring buffer has wrapped around."""
    given = {"num_envs": num_envs, "n_step": n_step, "frame_stack": frame_stack, "batch": 1}
    message = refused(DQN, buffer_size=least - 1, **given)
    assert message.startswith(
        f"--buffer-size {least - 1} with --num-envs {num_envs} is too small for a window of --n-step {n_step}"
    )
    assert message.endswith(f": at least {least}")
    assert ("--frame-stack 4" in message) == (frame_stack == 4)
    agent = build("TestVector", buffer_size=least, learning_starts=0, train_freq=num_envs, **given)
    assert "loss" in [agent.step() for _ in range(30)][-1]


@pytest.mark.parametrize(("num_envs", "frame_stack", "least"), [(1, 1, 9), (3, 1, 27), (2, 4, 24)])
def test_a_replay_buffer_too_small_for_a_sequence_is_refused(build, num_envs, frame_stack, least):
    given = {"num_envs": num_envs, "frame_stack": frame_stack, "batch": 1, "burn_in": 3, "length": 5}
    message = refused(DRQN, buffer_size=least - 1, **given)
    assert "--burn-in 3, --length 5 and --n-step 1" in message
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
def test_options_without_effect_are_refused(on, named):
    for name in named:
        with pytest.raises(UserError, match=rf"^--{name.replace('_', '-')} has no effect: .+$"):
            refuse_unused(DQN(**on), [name, "lr"])
    refuse_unused(DQN(**on), ["lr", "gamma", *on])


def test_options_with_an_effect_are_accepted():
    refuse_unused(DQN(), ["epsilon", "epsilon_end", "epsilon_steps", "loss"])
    refuse_unused(DQN(alpha=0.5), ["beta", "beta_steps"])
    refuse_unused(DQN(atoms=51), ["v_min", "v_max"])
    refuse_unused(DQN(munchausen=0.9), ["temperature"])
    refuse_unused(DQN(schedule="linear"), ["lr_steps"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rainbow", "CartPole", "--epsilon", "0.5"], "--epsilon has no effect: --noisy"),
        (["dqn", "CartPole", "--noisy", "--epsilon-end", "0.1"], "--epsilon-end has no effect: --noisy"),
        (["c51", "CartPole", "--loss", "mse"], "--loss has no effect: the loss of --atoms"),
        (["qrdqn", "CartPole", "--loss", "mse"], "--loss has no effect: the loss of --quantiles"),
        (["qrdqn", "CartPole", "--atoms", "51"], "--atoms 51 with --quantiles 25: set one of them to 1"),
        (["c51", "CartPole", "--v-min", "200"], "--v-min 200 is not below --v-max"),
        (
            ["dqn", "CartPole", "--batch", "100", "--buffer-size", "50"],
            "--batch 100 is more than --buffer-size 50",
        ),
        (["drqn", "CartPole", "--length", "99999"], "too small for a window of --burn-in 8, --length 99999"),
    ],
)
def test_the_command_line_refuses_contradictions_with_a_preset(monkeypatch, capsys, tmp_path, words, message):
    """One line, exit code 2, and no run folder."""
    monkeypatch.setattr("sys.argv", ["rlgen", *words, "--runs", str(tmp_path)])
    with pytest.raises(SystemExit) as left:
        main()
    out, err = capsys.readouterr()
    assert left.value.code == 2
    assert message in err
    assert (out, err.count("\n")) == ("", 1)
    assert not list(tmp_path.iterdir())


def test_a_preset_with_an_epsilon_schedule_does_not_contradict_noise(tmp_path):
    """Rainbow starts from the presets of dqn, which have a schedule of epsilon."""
    made = prepare("rainbow", "CartPole", {"width": 4}, runs=tmp_path).algorithm
    assert made.config.noisy
    assert made.epsilon == 0


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"optimizer": "lbfgs"}, "--optimizer lbfgs: a replay buffer is no fixed set: take adam or sgd"),
        ({"optimizer": "newton"}, "take adam or sgd"),
        ({"optimizer": "gd"}, "take adam or sgd"),
        ({"accumulate": 4}, "--accumulate 4: --batch takes more transitions per gradient step"),
    ],
)
def test_options_of_the_optimiser_that_an_agent_cannot_have(given, reason):
    with pytest.raises(ValueError, match=reason):
        DQN(**given)
