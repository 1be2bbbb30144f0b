"""Episodes of environments that are not deterministic, which a resumed run cannot restore."""

from rlgen.core.fit import fit
from rlgen.session import prepare, reopen

SMALL = {
    "width": 8, "buffer_size": 200, "learning_starts": 100, "batch": 16, "budget": 130, "log_every": 50,
    "eval_every": 300, "save_every": 100, "eval_episodes": 1, "num_envs": 2,
}  # fmt: skip


def test_an_episode_that_cannot_be_restored_ends_in_the_replay(tmp_path):
    """Its environment begins another episode, and no n-step window may reach across the two."""
    session = prepare("dqn", "tests.envs.toy_environments:TestNondeterministic-v0", SMALL, runs=tmp_path)
    with session.run as run:
        fit(session.algorithm, run, session.plan)
    newest = session.algorithm.replay.frames.row(session.algorithm.replay.count - 1)
    assert not session.algorithm.replay.done[newest].any()
    resumed = reopen(session.run, {"budget": 260})
    resumed.run.load(resumed.algorithm, experience=True)
    assert resumed.algorithm.env.restarted.all()
    assert resumed.algorithm.replay.done[newest].all()
    assert not resumed.algorithm.replay.terminated[newest].any()
