"""Every algorithm of the catalog on CUDA: trained, stopped and resumed, evaluated, sampled. `pytest -m cuda`."""

import pytest
import torch

from rlgen.core.folder import Folder
from rlgen.session import reopen, restore
from tests.cases import CASES
from tests.test_resume import start, stop, train

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this PyTorch finds no CUDA device"),
]
ON_CUDA = {name for name, (algorithm, _, _) in CASES.items() if algorithm not in ("qlearning", "knn")}


def device_of(algorithm):
    return getattr(algorithm, "device", torch.device("cpu")).type


@pytest.mark.parametrize("case", CASES)
def test_a_resumed_run_ends_as_one_that_was_not_stopped(case, tmp_path):
    given = {"device": "cuda", "deterministic": True}
    whole = start(case, tmp_path, "whole", **given)
    train(whole)
    assert (device_of(whole.algorithm) == "cuda") == (case in ON_CUDA)
    budget = whole.plan.budget
    directory = stop(start(case, tmp_path, "stopped", **given), budget // 2)
    train(reopen(Folder(directory), {}, trust=True))
    assert Folder(directory).rows() == whole.run.rows()


@pytest.mark.parametrize("case", CASES)
def test_what_was_trained_is_evaluated_and_sampled_on_the_cpu_alike(case, tmp_path, monkeypatch):
    directory = train(start(case, tmp_path, "run", device="cuda"))
    on_cuda = restore(Folder(directory), trust=True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    on_cpu = restore(Folder(directory), trust=True)
    assert device_of(on_cpu) == "cpu"
    if hasattr(on_cuda, "sample"):
        samples = on_cuda.sample(4, seed=1)
        assert samples.device.type == "cpu"
        assert torch.isfinite(samples).all()
    numbers = [agent.report(2, 0, lambda done: None).values for agent in (on_cuda, on_cpu)]
    assert numbers[0].keys() == numbers[1].keys()


@pytest.mark.parametrize("seeds", [1, 32])
def test_the_values_of_an_agent_are_those_on_the_cpu(seeds, tmp_path):
    """The same weights on either device, to the precision of float32."""
    trained = start("dqn", tmp_path, "run", device="cuda", seeds=seeds)
    train(trained)
    q, observations = trained.algorithm.q, torch.randn(seeds, 5, 4)
    with torch.no_grad():
        on_cuda = q(observations.cuda()).cpu()
        torch.testing.assert_close(on_cuda, q.cpu()(observations), rtol=1e-4, atol=1e-4)
