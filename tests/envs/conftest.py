import pytest

from tests.envs import toy_environments


@pytest.fixture
def finished(monkeypatch):
    """The true (return, length) of the episodes of TestCounting."""
    monkeypatch.setattr(toy_environments.Counting, "finished", episodes := [])
    return episodes
