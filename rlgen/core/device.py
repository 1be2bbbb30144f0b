"""The device of tensors, and the number of CPU threads."""

import ctypes
import os
import platform
import shutil
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from torch import nn

from rlgen.core import cores, torchrun
from rlgen.core.errors import UserError
from rlgen.core.settings import Setup

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
MANY_NETWORKS = 16  # small networks side by side, of as many seeds, from which an accelerator is faster: an estimate
KEPT = 2**30  # bytes of freed memory that the C library keeps


def choose(setup: Setup, accelerate: bool, networks: int = 1) -> torch.device:
    """The device of a run; sets the threads of this process and its arithmetic to match.

    `accelerate` is True for models that gain from an accelerator: convolutions do, small multilayer perceptrons
    are faster on one CPU thread up to some number of `networks` side by side. `auto` takes CUDA for them, but never
    MPS, on which nothing here is tested. Matrix products are in full float32 unless a model takes bfloat16;
    convolutions in float32 are in TF32 on CUDA, as is PyTorch's default (`arithmetic`).
    Raises UserError for a device that this machine does not have.
    """
    name = setup.device
    if name == "auto":
        gains = accelerate or networks >= MANY_NETWORKS
        name = "cuda" if gains and torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: this PyTorch finds no CUDA device; --device cpu works everywhere")
    if name == "mps" and not torch.backends.mps.is_available():
        raise UserError("--device mps: this machine has no Metal device; --device cpu works everywhere")
    if torchrun.count() > 1:
        _check_shared(name)
    if setup.deterministic:
        _repeat_to_the_bit()
    threads = setup.threads or (_threads() if accelerate else 1)
    torch.set_num_threads(threads)
    threadpool_limits(threads, "blas")  # numpy's
    # Adam's moments of weights without gradients decay to denormals, on which arithmetic is up to ten times slower.
    torch.set_flush_denormal(True)
    _keep_memory()
    return torch.device(name)


def arithmetic() -> dict[str, Any]:
    """Flags of PyTorch on which results depend, for run.json: precision of float32 and whether kernels repeat."""
    return {
        "float32_products": torch.get_float32_matmul_precision(),
        "tf32_convolutions": bool(torch.backends.cudnn.allow_tf32),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


def _repeat_to_the_bit() -> None:
    """Kernels on CUDA without sums in random order; a warning names an operation that has no such kernel.

    https://docs.pytorch.org/docs/stable/notes/randomness.html; on a CPU all results repeat in any case.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False


def _threads() -> int:
    """Threads of a process alone; under torchrun, which sets OMP_NUM_THREADS to 1, those of each process."""
    return cores.share(torchrun.local_count()) if torchrun.count() > 1 else cores.threads()


def _check_shared(name: str) -> None:
    """Take the CUDA device of this process of torchrun. Raises UserError where there is none for it."""
    if name == "mps":
        raise UserError("--device mps: torchrun connects processes on cpu or cuda: take one of them")
    if name == "cuda":
        if torchrun.local_rank() >= (found := torch.cuda.device_count()):
            raise UserError(
                f"--device cuda: {torchrun.local_count()} processes of torchrun and {found} CUDA devices on this"
                f" machine: --nproc-per-node {found}, or --device cpu"
            )
        torch.cuda.set_device(torchrun.local_rank())


def available(setup: Setup) -> Setup:
    """The setup of a run for this machine: `auto` in place of a device that it does not have."""
    missing = {"cuda": not torch.cuda.is_available(), "mps": not torch.backends.mps.is_available()}
    return replace(setup, device="auto") if missing.get(setup.device) else setup


def half(device: torch.device) -> bool:
    """Whether `device` multiplies in bfloat16 by hardware; emulated in software, it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()


def fuse(device: torch.device, *modules: nn.Module) -> None:
    """Compile the forward passes of `modules` with torch.compile: fewer operations, each with fewer memory passes.

    The first call with each input shape then takes seconds. Raises UserError on a CPU without a C++ compiler.
    """
    compiler = os.environ.get("CXX") or {"Darwin": "clang++", "Windows": "cl"}.get(platform.system(), "g++")
    if device.type == "cpu" and not shutil.which(compiler):
        raise UserError(
            f"--compile: the C++ compiler {compiler} is not on this machine: install it, or leave --compile out"
        )
    for module in modules:
        module.compile(dynamic=False)


def describe(device: torch.device) -> str:
    """`cpu, 2 threads`, or the name of the accelerator; under torchrun ` in each of 2 processes`."""
    each = f" in each of {torchrun.count()} processes" if torchrun.count() > 1 else ""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device) + each
    threads = torch.get_num_threads()
    return f"{device.type}, {threads} thread{'s' * (threads > 1)}{each}"


def peak_memory() -> dict[str, int]:
    """Bytes that were in use at most: by this process, where its system has that number, and by tensors on CUDA."""
    peak = {}
    with suppress(ImportError):  # Windows
        import resource

        unit = 1 if platform.system() == "Darwin" else 1024
        peak["process"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        peak["cuda"] = torch.cuda.max_memory_allocated()
    return peak


def _keep_memory() -> None:
    """Configure glibc to keep freed memory. Does nothing with another C library.

    Returning large tensors to the system and faulting their pages in again costs up to an eighth of a step's time.
    """
    if platform.libc_ver()[0] == "glibc":
        malloc = ctypes.CDLL(None)
        malloc.mallopt(M_MMAP_THRESHOLD, KEPT)
        malloc.mallopt(M_TRIM_THRESHOLD, KEPT)
