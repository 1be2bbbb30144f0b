import math

import pytest
from pydantic import ValidationError

from rlgen.core.settings import Plan, Setup


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        (Setup, {"seed": -1}),
        (Setup, {"seed": 2**63}),
        (Setup, {"device": "tpu"}),
        (Setup, {"threads": -1}),
        (Plan, {"budget": 0}),
        (Plan, {"stop_at": math.nan}),
        (Plan, {"stop_at": -math.inf}),
        (Plan, {"log_every": 0}),
        (Plan, {"eval_every": 0}),
        (Plan, {"save_every": -5}),
    ],
)
def test_values_out_of_bounds_are_refused(settings, values):
    with pytest.raises(ValidationError):
        settings(**values)


def test_the_bounds_themselves_are_allowed():
    assert Setup(seed=2**63 - 1, threads=0).seed == 2**63 - 1
    assert Plan(budget=1, log_every=1, stop_at=-1e9).stop_at == -1e9
