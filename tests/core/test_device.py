import ast
import os
import platform
import shutil
from pathlib import Path

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from rlgen.core import cores, device
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
        (False, True, True, "cpu"),  # nothing is tested on MPS
        (True, True, True, "cuda"),
        (True, True, False, "cpu"),
    ],
)
def test_auto_takes_cuda_for_models_that_gain_from_it(machine, cuda, mps, accelerate, expected):
    machine(cuda, mps)
    assert device.choose(Setup(), accelerate).type == expected
    assert device.choose(Setup(device="cpu"), accelerate).type == "cpu"


@pytest.mark.parametrize(("networks", "expected"), [(1, "cpu"), (15, "cpu"), (16, "cuda"), (256, "cuda")])
def test_auto_takes_cuda_for_many_small_networks(machine, networks, expected):
    machine(True, False)
    assert device.choose(Setup(), accelerate=False, networks=networks).type == expected
    machine(False, True)
    assert device.choose(Setup(), accelerate=False, networks=networks).type == "cpu"


def test_deterministic_kernels_are_on_request_and_in_the_facts(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    asked = []
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda mode, **more: asked.append((mode, more)))
    device.choose(Setup(), accelerate=False)
    assert asked == []
    device.choose(Setup(deterministic=True), accelerate=False)
    assert asked == [(True, {"warn_only": True})]
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)
    assert device.arithmetic() == {"float32_products": "highest", "tf32_convolutions": True, "deterministic": True}


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_missing_device_is_refused_and_a_present_one_taken(machine, name):
    machine(False, False)
    with pytest.raises(UserError, match=f"--device {name}: .*--device cpu works everywhere"):
        device.choose(Setup(device=name), accelerate=True)
    machine(True, True)
    assert device.choose(Setup(device=name), accelerate=False).type == name


@pytest.mark.parametrize("set_outside", ["3", ""])
def test_threads_match_the_model_unless_set(monkeypatch, set_outside):
    monkeypatch.setenv("OMP_NUM_THREADS", set_outside)
    device.choose(Setup(), accelerate=False)
    assert torch.get_num_threads() == 1
    device.choose(Setup(), accelerate=True)
    assert torch.get_num_threads() == (3 if set_outside else cores.available())
    device.choose(Setup(threads=2), accelerate=True)
    assert torch.get_num_threads() == 2
    assert device.describe(torch.device("cpu")) == "cpu, 2 threads"
    device.choose(Setup(threads=1), accelerate=True)
    assert device.describe(torch.device("cpu")) == "cpu, 1 thread"


@pytest.mark.parametrize("threads", [2, 1])
def test_numpy_takes_as_many_threads_as_torch(threads):
    with threadpool_limits(3, "blas"):
        device.choose(Setup(threads=threads), accelerate=True)
        blas = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    assert set(blas) == {threads}


@pytest.mark.skipif(not torch.set_flush_denormal(False), reason="this processor cannot flush denormals")
def test_denormals_are_flushed():
    torch.set_flush_denormal(False)
    assert (torch.tensor([1e-38]) * 1e-3).item() > 0
    device.choose(Setup(), accelerate=False)
    assert (torch.tensor([1e-38]) * 1e-3).item() == 0


@pytest.mark.parametrize("able", [True, False])
def test_half_precision_needs_hardware(monkeypatch, able):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: able)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: able and not including_emulation)
    assert [device.half(torch.device(name)) for name in ("cpu", "cuda", "mps")] == [able, able, False]


def test_modules_are_compiled_for_fixed_shapes(monkeypatch):
    compiled = []
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **options: compiled.append((self, options)))
    modules = torch.nn.Linear(1, 1), torch.nn.ReLU()
    device.fuse(torch.device("cpu"), *modules)
    assert compiled == [(module, {"dynamic": False}) for module in modules]


def test_compiling_for_the_cpu_needs_a_compiler(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **options: None)
    with pytest.raises(UserError, match="--compile: the C\\+\\+ compiler no-such-compiler is not on this machine"):
        device.fuse(torch.device("cpu"), torch.nn.ReLU())
    device.fuse(torch.device("cuda"), torch.nn.ReLU())  # has a compiler of its own


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")
def test_freed_memory_is_kept_for_the_next_tensor():
    """Memory returned to the system would cost a page fault per page of the next tensor of the same size."""
    import resource

    device.choose(Setup(), accelerate=False)

    def faults():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(12 * 2**20)  # 48 MiB, 12,288 pages
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    faults()
    assert sum(faults() for _ in range(16)) < 8 * 12_288  # half of what they would be


SOURCES = [path for room in ("rlgen", "agents", "envs") for path in (Path(__file__).parents[2] / room).rglob("*.py")]


def faults(source):
    """Calls that some accelerators cannot do: float64 on the device (MPS has none), copies without synchronisation."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword) and node.arg == "non_blocking":
            yield "non_blocking"  # from memory that is not pinned, or is freed before the copy is done
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "cpu":
            inner = {
                n.func.attr for n in ast.walk(node.func.value) if isinstance(n, ast.Call) and hasattr(n.func, "attr")
            }
            if "double" in inner:
                yield "double before cpu"


def test_no_source_computes_in_float64_on_a_device_or_copies_without_synchronisation():
    assert list(faults("x.double().mean().cpu()")) == ["double before cpu"]
    assert list(faults("x.cpu().double()")) == []
    assert list(faults("x.to(device, non_blocking=True)")) == ["non_blocking"]
    assert {path.name: found for path in SOURCES if (found := list(faults(path.read_text())))} == {}


def test_a_device_that_this_machine_lacks_is_chosen_anew(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.available(Setup(device="cuda", seed=3)) == Setup(device="auto", seed=3)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name in ("cuda", "cpu", "auto"):
        assert device.available(Setup(device=name)).device == name
