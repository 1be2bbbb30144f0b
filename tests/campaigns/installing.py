"""Installations: wheel and sdist, lock files, every Python at hand: `python tests/campaigns/installing.py`.

`--lock` writes the lock files anew, with uv. A Python for which pip finds no CPU build of torch by --find-links is
tested without torch: the builds of CUDA have gigabytes.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = Path(__file__).parent / "lock"
VERSIONS = ("3.11", "3.12", "3.13")
CUDA = ("cuda-", "nvidia-", "triton")  # packages of the CUDA build of torch alone, by the beginning of their names
NEED_TORCH = ("torch", "torchmetrics", "lightning-utilities")
WITHOUT_TORCH = (  # tests that import no torch, without fixtures of a conftest.py
    "tests/test_imports.py", "tests/completion/test_completion.py", "tests/core/test_files.py",
    "tests/core/test_tail.py", "tests/core/test_synonyms.py",
)  # fmt: skip
WORDS = (["--version"], ["--help"], ["list", "data"], ["dqn", "--help"], ["runs"], ["lesson"])  # without torch
TRAIN = ["qlearning", "FrozenLake", "--budget", "300", "--final-episodes", "3"]
EXAMPLES = {  # in a wheel, by their paths
    "rlgen/__main__.py", "rlgen/py.typed", "rlgen/agents/dqn.py", "rlgen/agents/scores.json", "rlgen/envs/cartpole.py",
    "rlgen/lessons/replay.toml", "rlgen/core/run.py",
}  # fmt: skip


def run(*words: str | Path, **more: str) -> str:
    """What a command prints. Raises RuntimeError where it fails."""
    environment = {**os.environ, "PIP_NO_INPUT": "1", "OMP_NUM_THREADS": "1", **more}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, env=environment, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))}: {(done.stdout + done.stderr).strip()[-1500:]}")
    return done.stdout + done.stderr


def pythons() -> dict[str, Path]:
    """The interpreters at hand by their versions: on the path, of pyenv, of uv."""
    homes = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
    homes += sorted(Path.home().glob(".pyenv/versions/*/bin")) + sorted(
        Path.home().glob(".local/share/uv/python/*/bin")
    )
    found: dict[str, Path] = {}
    for version in VERSIONS:
        for path in (home / f"python{version}" for home in homes):
            if version not in found and path.exists() and _works(path, version):
                found[version] = path
    return found


def _works(python: Path, version: str) -> bool:
    code = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    return done.returncode == 0 and done.stdout.strip() == version


def blocks(text: str) -> dict[str, str]:
    """The requirements of a lock file with their hashes, by `name==version ; marker`."""
    parts = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
    return {part.split(" \\\n")[0].strip(): part for part in parts if part[:1].isalnum()}


def name_of(requirement: str) -> str:
    """The name of a package at the beginning of a requirement."""
    return re.split(r"[=<>!;\[ ]", requirement)[0].lower()


def problems(text: str) -> list[str]:
    """What a lock file must not have, or lacks: a requirement of pyproject.toml, a version, a hash; an address."""
    found = [f"an address: {line}" for line in text.splitlines() if "://" in line or line.startswith("-")]
    locked = blocks(text)
    found += [f"no version: {name}" for name in locked if "==" not in name]
    found += [f"no hash: {name}" for name, block in locked.items() if "--hash=sha256:" not in block]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["test"], "hatchling"]
    names = {name_of(each) for each in locked}
    return found + [f"not locked: {each}" for each in wanted if name_of(each) not in names]


def lock(wheels: Path | None) -> None:
    """Write the lock files: cuda.txt of the builds on PyPI, and cpu.txt of CPU builds of torch, without CUDA."""
    with tempfile.TemporaryDirectory() as folder:
        build = Path(folder, "build.in")
        build.write_text("\n".join(tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]))
        out = Path(folder, "lock.txt")
        quiet = ("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "--quiet")
        options = ("--extra", "test", "--universal", "--python-version", VERSIONS[0], "--generate-hashes", *quiet)
        run("uv", "pip", "compile", "pyproject.toml", build, *options, "--output-file", out)
        text = out.read_text()
    (LOCK / "cuda.txt").write_text(text)
    cpu = LOCK / "cpu.txt"
    former = blocks(cpu.read_text()) if cpu.exists() else {}
    parts = []
    for requirement, block in blocks(text).items():
        if requirement.startswith("torch=="):  # its Linux builds on PyPI are those of CUDA
            linux = f"{requirement} ; sys_platform == 'linux'"
            hashes = [f" \\\n    --hash=sha256:{digest}" for digest in _cpu_builds(wheels, requirement)]
            parts.append(linux + "".join(hashes) + "\n" if hashes else former[linux])
            parts.append(block.replace(requirement, f"{requirement} ; sys_platform != 'linux'", 1))
        elif not requirement.startswith(CUDA):
            parts.append(block)
    cpu.write_text("".join(parts))


def _cpu_builds(wheels: Path | None, requirement: str) -> Iterator[str]:
    """The sha256 of the CPU builds of torch in a folder."""
    for path in sorted(wheels.glob(f"{requirement.replace('==', '-')}+cpu-*.whl")) if wheels else ():
        with path.open("rb") as file:
            yield hashlib.file_digest(file, "sha256").hexdigest()


def wheel_contents(wheel: Path) -> list[str]:
    """What a wheel has and must not have, or lacks."""
    names = set(zipfile.ZipFile(wheel).namelist())
    own = {name for name in names if ".dist-info/" not in name}
    wrong = [f"{name} in the wheel" for name in sorted(own) if not name.startswith("rlgen/") or "__pycache__" in name]
    tracked = run("git", "ls-files", "rlgen", "agents", "envs").split()
    expected = {re.sub(r"^(agents|envs)/", r"rlgen/\1/", path) for path in tracked}
    return wrong + [f"{name} not in the wheel" for name in sorted((expected | EXAMPLES) - own)]


def sdist_contents(sdist: Path) -> list[str]:
    """What a source distribution has and must not have, or lacks."""
    with tarfile.open(sdist) as archive:
        names = {member.name.split("/", 1)[1] for member in archive.getmembers() if member.isfile()}
    tracked = run(
        "git", "ls-files", "rlgen", "agents", "envs", "tests", "README.md", "LICENSE", "pyproject.toml"
    ).split()
    wrong = [
        f"{name} in the sdist" for name in sorted(names) if name.startswith((".git/", "runs/")) and "README" not in name
    ]
    return wrong + [f"{name} not in the sdist" for name in sorted(set(tracked) - names)]


def built(folder: Path, python: Path) -> tuple[Path, Path, Path]:
    """A wheel, a source distribution, and an environment of the locked build tools."""
    tools = environment(folder / "tools", python)
    locked(tools, folder, lambda name: name in ("hatchling", "packaging", "pathspec", "pluggy", "trove-classifiers"))
    run(tools, "-m", "hatchling", "build", "-d", folder / "dist")
    return next((folder / "dist").glob("*.whl")), next((folder / "dist").glob("*.tar.gz")), tools


def environment(folder: Path, python: Path) -> Path:
    """A new virtual environment; returns its interpreter."""
    run(python, "-m", "venv", folder)
    return folder / "bin" / "python"


def locked(python: Path, folder: Path, wanted: Callable[[str], bool]) -> None:
    """Install what the lock file names, by hash alone."""
    parts = [block for each, block in blocks((LOCK / "cpu.txt").read_text()).items() if wanted(name_of(each))]
    chosen = folder / "chosen.txt"
    chosen.write_text("".join(parts))
    run(
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--require-hashes",
        "--no-deps",
        "--only-binary",
        ":all:",
        "-r",
        chosen,
    )


def cpu_build_at_hand(python: Path) -> bool:
    """Whether pip finds the locked torch without an index, by --find-links of its settings."""
    requirement = next(each for each in blocks((LOCK / "cpu.txt").read_text()) if name_of(each) == "torch")
    words = ["install", "--quiet", "--dry-run", "--no-index", "--no-deps", requirement.split()[0]]
    return subprocess.run([python, "-m", "pip", *words], capture_output=True).returncode == 0


def installed(folder: Path, python: Path, version: str, wheel: Path, sdist: Path, tests: bool) -> str:
    """Install by hash, train and test; returns what was done. Raises RuntimeError."""
    here = folder / version
    here.mkdir()
    made = environment(here / "venv", python)
    torch = cpu_build_at_hand(made)
    locked(made, here, (lambda name: True) if torch else (lambda name: name not in NEED_TORCH))
    run(made, "-m", "pip", "install", "--quiet", "--no-deps", wheel)
    for words in WORDS:
        run(made, "-P", "-m", "rlgen", *words, *(["--runs", here] if words == ["runs"] else []))
    with tarfile.open(sdist) as archive:
        archive.extractall(here, filter="data")
    (source,) = here.glob("rlgen-*")
    if torch:
        run(made, "-P", "-m", "rlgen", *TRAIN, "--runs", here / "runs", "--quiet")
    chosen = (
        [] if torch and tests else ["tests/test_packaging.py", "tests/test_session.py"] if torch else [*WITHOUT_TORCH]
    )
    words = [
        made,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-n",
        "0" if chosen else "2",
        "-rs",
        "--rootdir",
        source,
    ]
    said = run("env", "-C", source, *words, *(["--noconftest", "-k", "not torch"] if not torch else []), *chosen)
    skipped = [line for line in said.splitlines() if line.startswith("SKIPPED")]
    if silent := [line for line in skipped if not re.search(r":\d*:? \S+ \S+", line)]:
        raise RuntimeError(f"skipped without a reason: {silent}")
    return f"{'with' if torch else 'without'} torch, {said.strip().splitlines()[-1]}, {len(skipped)} reasons of skips"


def campaign(folder: Path, versions: list[str], tests: bool) -> tuple[int, int]:
    """Everything for each Python; prints what was done and what failed. Returns how many tries and how many lost."""
    found = pythons()
    for version in versions:
        if version not in found:
            print(f"installing: no Python {version} at hand")
    first = next(iter(found.values()))
    wheel, sdist, _ = built(folder, first)
    lost = [*wheel_contents(wheel), *sdist_contents(sdist)]
    for name in ("cpu.txt", "cuda.txt"):
        lost += [f"{name}: {problem}" for problem in problems((LOCK / name).read_text())]
    for line in lost:
        print(f"lost: {line}")
    tries, failed = 4, min(4, len(lost))
    for version, python in ((v, p) for v, p in found.items() if v in versions):
        tries += 1
        try:
            print(f"Python {version}: {installed(folder, python, version, wheel, sdist, tests)}", flush=True)
        except RuntimeError as error:
            failed += 1
            print(f"lost: Python {version}: {error}", flush=True)
        shutil.rmtree(folder / version, ignore_errors=True)
    return tries, failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of no effect: nothing is drawn")
    parser.add_argument("--count", type=int, default=len(VERSIONS), help="versions of Python")
    parser.add_argument("--runs", type=Path, help="folder to work in; by default a temporary one")
    parser.add_argument("--python", action="append", help="a version; by default all")
    parser.add_argument("--tests", action="store_true", help="all default tests where torch is there, not two files")
    parser.add_argument("--lock", action="store_true", help="write the lock files anew and stop")
    parser.add_argument("--wheels", type=Path, help="folder of CPU builds of torch whose hashes are added to cpu.txt")
    given = parser.parse_args()
    if given.lock:
        lock(given.wheels)
        return
    with tempfile.TemporaryDirectory() as temporary:
        tries, lost = campaign(given.runs or Path(temporary), (given.python or [*VERSIONS])[: given.count], given.tests)
    print(f"installing: {tries} tries, {tries - lost} survived, {lost} lost")
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
