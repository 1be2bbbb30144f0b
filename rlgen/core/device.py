"""Where tensors live, and how many threads work on them."""

import ctypes
import os
import platform
import shutil

import torch
from threadpoolctl import threadpool_limits
from torch import nn

from rlgen.core.errors import UserError
from rlgen.core.settings import Setup

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
KEPT = 2**30  # bytes


def choose(setup: Setup, accelerate: bool) -> torch.device:
    """The device of a run, the threads of this process and its arithmetic set to suit.

    `accelerate` says whether the model gains from an accelerator: convolutions do, small
    multilayer perceptrons are faster on one CPU thread. Raises UserError for a device that is not there.
    """
    name = setup.device
    if name == "auto":
        name = ("cuda" if torch.cuda.is_available() else "mps" if _mps() else "cpu") if accelerate else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: no CUDA device can be seen by this PyTorch; --device cpu works everywhere")
    if name == "mps" and not _mps():
        raise UserError("--device mps: this machine has no Metal device; --device cpu works everywhere")
    threads = setup.threads or (cores() if accelerate else 1)
    torch.set_num_threads(threads)
    threadpool_limits(threads, "blas")  # numpy's
    # The moments of weights that rest decay to denormals, which cost Adam up to ten times its time.
    torch.set_flush_denormal(True)
    _keep_memory()
    return torch.device(name)


def half(device: torch.device) -> bool:
    """Whether it multiplies in bfloat16 faster than in float32: processors without it imitate it, and are slower."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()


def fuse(device: torch.device, *modules: nn.Module) -> None:
    """Have what is called of `modules` compiled: its operations become fewer, which pass over memory less often.

    The first step of each shape then takes seconds. Raises UserError where there is nothing to compile with.
    """
    compiler = os.environ.get("CXX") or {"Darwin": "clang++", "Windows": "cl"}.get(platform.system(), "g++")
    if device.type == "cpu" and not shutil.which(compiler):
        raise UserError(f"--compile: the C++ compiler {compiler} is not on this machine: install it, or leave it out")
    for module in modules:
        module.compile(dynamic=False)


def cores() -> int:
    """CPU cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe(device: torch.device) -> str:
    """`cpu, 2 threads` or the name of the accelerator."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{device.type}, {threads} thread{'s' * (threads > 1)}"


def _keep_memory() -> None:
    """Have the C library keep what is freed: to give large tensors back and fault their pages in again, at every
    step, costs up to an eighth of the time. Does nothing where the library is not glibc."""
    if platform.libc_ver()[0] == "glibc":
        malloc = ctypes.CDLL(None)
        malloc.mallopt(M_MMAP_THRESHOLD, KEPT)
        malloc.mallopt(M_TRIM_THRESHOLD, KEPT)


def _mps() -> bool:
    return torch.backends.mps.is_available()
