"""Files of episodes in which an environment failed."""

import json
import os

import numpy as np
import pytest

from rlgen.core import failures
from rlgen.core.errors import EnvironmentFault, UserError
from rlgen.envs import VectorEnv, failed_episode
from rlgen.envs.failed_episode import Repetition
from tests.envs.misbehaving import AT
from tests.envs.playing import play

GOOD = {"environment": "CartPole-v1", "options": {"repeat_action_probability": None}, "seed": 3, "actions": [0, 1, 1]}


def fail(folder, name="Misbehaving-raises", **options):
    """The fault of an environment, kept in a folder."""
    with pytest.raises(EnvironmentFault) as caught, failures.kept_in(folder):
        for _ in play(VectorEnv(name, 2, seed=1, **options), 100, np.random.default_rng(4)):
            pass
    return caught.value


def test_the_episode_is_kept_and_fails_again(tmp_path):
    fault = fail(tmp_path, step_timeout=9.0)
    file = tmp_path / failures.NAME
    assert str(fault).endswith(f": `rlgen play --episode {file}` repeats it")
    kept = failed_episode.read(file)
    assert kept.environment == "Misbehaving-raises-v0"
    assert kept.step_timeout == 9
    assert len(kept.actions) == AT
    assert set(kept.actions) == {0, 1}
    assert str(fault).startswith(kept.error)
    again = Repetition(kept)
    pictures, steps = [], again.play()
    with pytest.raises(
        EnvironmentFault, match=rf"ZeroDivisionError: two lines .* at step {AT} of the episode repeated"
    ):
        pictures.extend(again.picture for _ in steps)
    assert again.rewards == [1.0] * (AT - 1)
    assert len(pictures) == AT
    assert [int(picture[0, 0, 0]) for picture in pictures] == [10 * t for t in range(AT)]
    assert again.environments.envs[0].unwrapped.closed


def test_the_same_episode_is_played_again():
    """The observations of an environment of several, from the episode's seed."""
    env = VectorEnv("Acrobot", 2, seed=8)
    seen = [obs[1] for obs, actions, _ in play(env, 30) if (actions >= 0).all()]
    actions = tuple(int(each[1]) for each in env.action_history)
    episode = failed_episode.FailedEpisode(env.name, env.episode_seed(1), actions, "step", "", None, None)
    again = Repetition(episode)
    found, step = [], again.environments.step
    again.environments.step = lambda actions, running: found.append(step(actions, running)) or found[-1]
    assert list(again.play()) == list(range(31))
    np.testing.assert_array_equal([frames[0] for frames, *_ in found][:-1], seen[1:])


def test_an_episode_that_fails_at_its_start_is_kept_without_actions(tmp_path):
    assert "at the start of the episode" in str(fail(tmp_path, "Misbehaving-reset-nan"))
    again = Repetition(failed_episode.read(tmp_path / failures.NAME))
    with pytest.raises(EnvironmentFault, match=r"nan at place 0.*at the start"):
        list(again.play())


def test_nothing_is_kept_outside_of_a_run_and_the_failure_counts_where_nothing_can_be_written(tmp_path):
    with pytest.raises(EnvironmentFault, match=r"with seed [0-9]+ in copy 1 of 2$"):
        for _ in play(VectorEnv("Misbehaving-raises", 2, seed=1), 100):
            pass
    (tmp_path / "file").touch()
    assert str(fail(tmp_path / "file")).endswith("in copy 1 of 2")


@pytest.mark.parametrize(
    "change",
    [
        {"environment": 3}, {"environment": "x" * 1000}, {"seed": -1}, {"seed": 2**70}, {"seed": True}, {"seed": "1"},
        {"actions": 5}, {"actions": [0.5]}, {"actions": [-1]}, {"actions": [[]]}, {"actions": [True]},
        {"options": {"repeat_action_probability": 2}}, {"options": {"repeat_action_probability": "x"}},
        {"options": [1]}, {"step_timeout": -1}, {"step_timeout": []}, {"step_timeout": 0},
    ],
    ids=str,
)  # fmt: skip
def test_a_file_of_another_content_is_refused_in_one_line(tmp_path, change):
    file = tmp_path / "episode.json"
    file.write_text(json.dumps({**GOOD, **change}))
    with pytest.raises(UserError, match=r"^[^\n]*episode.json holds no episode: [^\n]*$"):
        failed_episode.read(file)
    for lacking in ("environment", "seed", "actions"):
        file.write_text(json.dumps({name: value for name, value in GOOD.items() if name != lacking}))
        with pytest.raises(UserError, match=f"holds no episode: it lacks '{lacking}'"):
            failed_episode.read(file)


@pytest.mark.parametrize("content", ["", "[", "[]", "[" * 10_000, '{"seed": NaN}', "\x00"])
def test_a_file_that_holds_no_object_is_refused_in_one_line(tmp_path, content):
    file = tmp_path / "episode.json"
    file.write_text(content)
    with pytest.raises(UserError, match=r"^[^\n]*$"):
        failed_episode.read(file)


def test_links_pipes_and_missing_files_are_refused_in_one_line(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "missing"):
        with pytest.raises(UserError, match=f"^cannot read the episode in [^\n]*{name}[^\n]*$"):
            failed_episode.read(tmp_path / name)


def test_actions_that_the_environment_has_not_are_refused(tmp_path):
    file = tmp_path / "episode.json"
    file.write_text(json.dumps({**GOOD, "actions": [1, 2]}))
    with pytest.raises(UserError, match=r"^the episode has the action 2, which CartPole-v1 has not$"):
        list(Repetition(failed_episode.read(file)).play())
