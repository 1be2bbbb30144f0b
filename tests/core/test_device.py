import os
import platform

import pytest
import torch

from rlgen.core import device
from rlgen.core.errors import UserError
from rlgen.core.settings import Setup


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def machine(monkeypatch):
    def has(cuda, mps):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return has


@pytest.mark.parametrize(
    ("cuda", "mps", "accelerate", "expected"),
    [
        (False, False, True, "cpu"),
        (True, False, True, "cuda"),
        (False, True, True, "mps"),
        (True, True, True, "cuda"),
        (True, True, False, "cpu"),
    ],
)
def test_auto_takes_the_accelerator_where_it_helps(machine, cuda, mps, accelerate, expected):
    machine(cuda, mps)
    assert device.choose(Setup(), accelerate).type == expected
    assert device.choose(Setup(device="cpu"), accelerate).type == "cpu"


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there(machine, name):
    machine(False, False)
    with pytest.raises(UserError, match=f"--device {name}: .*--device cpu works everywhere"):
        device.choose(Setup(device=name), accelerate=True)
    machine(True, True)
    assert device.choose(Setup(device=name), accelerate=False).type == name


def test_threads_suit_the_model_unless_they_are_given():
    device.choose(Setup(), accelerate=False)
    assert torch.get_num_threads() == 1
    device.choose(Setup(), accelerate=True)
    assert torch.get_num_threads() == device.cores()
    device.choose(Setup(threads=3), accelerate=True)
    assert torch.get_num_threads() == 3
    assert device.describe(torch.device("cpu")) == "cpu, 3 threads"
    device.choose(Setup(threads=1), accelerate=True)
    assert device.describe(torch.device("cpu")) == "cpu, 1 thread"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_cores_are_those_this_process_may_use():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert device.cores() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert device.cores() == len(before)


def test_denormals_are_flushed():
    device.choose(Setup(), accelerate=False)
    if torch.set_flush_denormal(True):  # where the processor can
        assert (torch.tensor([1e-38]) * 1e-3).item() == 0


@pytest.mark.parametrize("able", [True, False])
def test_half_precision_where_the_machine_has_it(monkeypatch, able):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: able)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: able and not including_emulation)
    assert [device.half(torch.device(name)) for name in ("cpu", "cuda", "mps")] == [able, able, False]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep what is freed")
def test_freed_memory_is_kept():
    """Pages given back to the system are faulted in again, one by one, by the next tensor of the same size."""
    import resource

    device.choose(Setup(), accelerate=False)

    def faults():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(12 * 2**20)  # 48 MiB, 12,288 pages
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    faults()
    assert sum(faults() for _ in range(16)) < 8 * 12_288  # half of what they would be
