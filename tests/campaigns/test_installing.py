"""The lock files: complete, of fixed versions with hashes, without addresses."""

import pytest
from packaging.requirements import Requirement

from tests.campaigns.installing import CUDA, LOCK, ROOT, blocks, name_of, problems

GOOD = "numpy==2.4.6 ; python_full_version < '3.12' \\\n    --hash=sha256:00\nnumpy==2.5.5 \\\n    --hash=sha256:11\n"


@pytest.mark.parametrize("name", ["cpu.txt", "cuda.txt"])
def test_a_lock_file_has_every_requirement_with_version_and_hashes(name):
    assert problems((LOCK / name).read_text()) == []


def test_what_is_wrong_with_a_lock_file_is_found():
    found = problems(GOOD + "--index-url https://here\nscipy>=1 \\\n    --hash=sha256:00\npooch==1.9.0\n")
    assert found[:3] == ["an address: --index-url https://here", "no version: scipy>=1", "no hash: pooch==1.9.0"]
    assert {"not locked: numpy>=2", "not locked: pooch>=1.8"} & set(found) == set()
    assert "not locked: hatchling" in found


def test_requirements_are_split_with_their_markers():
    assert list(blocks(GOOD)) == ["numpy==2.4.6 ; python_full_version < '3.12'", "numpy==2.5.5"]
    assert [name_of(each) for each in blocks(GOOD)] == ["numpy", "numpy"]


def test_the_lock_of_cpu_builds_has_no_cuda_and_a_build_of_torch_for_linux():
    cpu, cuda = (blocks((LOCK / name).read_text()) for name in ("cpu.txt", "cuda.txt"))
    assert not [each for each in cpu if each.startswith(CUDA)]
    assert [each for each in cuda if each.startswith(CUDA)]
    linux = next(block for each, block in cpu.items() if each.startswith("torch==") and "== 'linux'" in each)
    assert 1 <= linux.count("--hash=sha256:") < 20
    assert {name_of(each) for each in cuda if not each.startswith(CUDA)} == {name_of(each) for each in cpu}


def test_locked_versions_fit_the_requirements():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = {name_of(each): each.split()[0].split("==")[1] for each in blocks((LOCK / "cpu.txt").read_text())}
    for text in [*project["dependencies"], *project["optional-dependencies"]["test"]]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(locked[wanted.name.lower()]), text
