"""Abandoned evaluations, pictures and steps of every algorithm leave its state, to the bit, as it was before them."""

import copy
import random
import signal
import sys

import pytest
import torch

from rlgen.core import fit
from rlgen.core.signals import Stopped
from rlgen.session import prepare
from tests.cases import CASES
from tests.test_resume import differences

STEPS = 3  # before the first abandoned call
TRIES = 3  # of each method


class Calls:
    """Counts the calls of Python functions within `with`, and raises Stopped at one of them, as a signal would."""

    def __init__(self, last=None):
        self.count, self.last = 0, last

    def __enter__(self):
        sys.setprofile(self.count_call)
        return self

    def __exit__(self, *error):
        sys.setprofile(None)

    def count_call(self, frame, event, argument):
        if event in ("call", "c_call"):
            self.count += 1
            if self.count == self.last:
                sys.setprofile(None)
                raise Stopped(signal.SIGINT)


def state(algorithm):
    return copy.deepcopy({**algorithm.state_dict(), "torch": torch.get_rng_state()})


def abandon(call, last):
    """Whether the call ended at the call of a function of this number."""
    try:
        with fit._abandonable(), Calls(last):
            call()
    except Stopped:
        return True
    return False


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of calls at the end of a generator
@pytest.mark.parametrize("case", CASES)
def test_the_state_is_the_one_before(case, tmp_path):
    algorithm, task, options = CASES[case]
    made, draw = prepare(algorithm, task, options, runs=tmp_path).algorithm, random.Random(case)
    for _ in range(STEPS):
        made.step()
    for name in ("evaluate", "draw"):
        with Calls() as calls:
            getattr(made, name)()
        before = state(made)
        for _ in range(TRIES):
            abandon(getattr(made, name), draw.randint(1, calls.count))
            assert differences(before, state(made)) == []
    if getattr(made, "restartable", False):
        before = state(made)
        with Calls() as calls:
            fit._abandonable_step(made)
        assert differences(before, state(made)) != []
        for _ in range(TRIES):
            before = state(made)
            while not abandon(lambda: fit._abandonable_step(made), draw.randint(1, calls.count)):
                before = state(made)
            assert differences(before, state(made)) == []
