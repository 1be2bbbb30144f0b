"""Models learn, on the real digits: the first half minute of what the presets do."""

import pytest

from rlgen.catalog import find
from rlgen.core.config import resolve
from rlgen.core.errors import DataError
from rlgen.core.settings import Setup

pytestmark = pytest.mark.slow
SEEDS = pytest.mark.parametrize("seed", [0, 1])


def learned(name, seed, images):
    entry = find(name)
    config = resolve(entry.config, *entry.presets("mnist"), {"anneal": images})
    try:
        model = entry.algorithm("mnist", config, Setup(seed=seed))
    except DataError as error:
        pytest.skip(str(error))
    while model.time < images:
        model.step()
    return model


@SEEDS
def test_an_autoencoder_beats_principal_components(seed):
    told = learned("ae", seed, 300_000).measure()
    assert told["eval_mse"] < 0.7 * told["eval_pca_mse"]
