"""Where a run comes from: versions of the packages and the commit of the code."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("rlgen", "torch", "gymnasium", "numpy")


def versions() -> dict[str, str]:
    """Version of Python and of the packages whose arithmetic a run depends on."""
    return {"python": platform.python_version(), **{package: _version(package) for package in PACKAGES}}


def git(directory: Path = Path(__file__).parent) -> dict[str, Any]:
    """`commit` of the repository around `directory`, and `dirty` for uncommitted changes; empty outside one."""

    def run(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(directory), *words], capture_output=True, text=True, check=True, timeout=5
        ).stdout.strip()

    try:
        return {"commit": run("rev-parse", "HEAD"), "dirty": bool(run("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return {}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
