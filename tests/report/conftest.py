"""Fixtures that make run folders."""

import pytest

from tests.report.small_runs import MODEL, write, write_agent


@pytest.fixture
def agent(tmp_path):
    """A run of an agent, whose curves depend on its seed."""
    return lambda name, seed=0, **info: write_agent(tmp_path / name, seed, **info)


@pytest.fixture
def model(tmp_path):
    """A run of a GAN."""

    def make(name, **info):
        rows = [{"time": 64 * i, "discriminator_loss": 1 / i, "generator_loss": 2.0, "fid": 9.0} for i in range(1, 30)]
        return write(tmp_path / name, {**MODEL, **info}, rows)

    return make
