import hashlib
import io
import tarfile
import tracemalloc

import numpy as np
import pytest
import torch

from rlgen import data
from rlgen.core.errors import DataError
from rlgen.data import cifar, idx


@pytest.fixture
def cifar10(tmp_path, monkeypatch):
    """The path of an archive with two records in each file, and all records (N, 3073) by split."""
    draw, batches = np.random.default_rng(0), {}
    table = {split: draw.integers(0, 256, (2 * len(names), 3073), np.uint8) for split, names in cifar.BATCHES.items()}
    path = tmp_path / "data/CIFAR10/raw/cifar-10-binary.tar.gz"
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz") as archive:
        for split, names in cifar.BATCHES.items():
            table[split][:, 0] %= 10
            batches[split] = {}
            for number, name in enumerate(names):
                content = table[split][2 * number : 2 * number + 2].tobytes()
                batches[split][name] = hashlib.sha256(content).hexdigest()
                member = tarfile.TarInfo(f"{cifar.INSIDE}/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    monkeypatch.setattr(cifar, "BATCHES", batches)
    monkeypatch.setenv("RLGEN_OFFLINE", "1")
    monkeypatch.delenv("RLGEN_DATA", raising=False)
    monkeypatch.setattr(idx, "cache", lambda: tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    return path, table


def test_cifar10(cifar10):
    _, table = cifar10
    assert data.resolve("CIFAR-10") == "cifar10"
    assert data.canonical("CIFAR10", fallback=False) == ("cifar10", None)
    for split, records in table.items():
        dataset = data.load("cifar10", split)
        assert dataset.images.shape == (len(records), 3, 32, 32)
        assert dataset.classes[0] == "airplane"
        assert torch.equal(dataset.labels, torch.from_numpy(records[:, 0]).long())
        assert torch.equal(dataset.images[1, 2, 5], torch.from_numpy(records[1, 1 + 2 * 1024 + 5 * 32 :][:32]))


def test_a_wrong_cifar10_is_refused(cifar10, monkeypatch):
    path, _ = cifar10
    monkeypatch.setattr(cifar, "BATCHES", {**cifar.BATCHES, "test": {"test_batch.bin": "0" * 64}})
    with pytest.raises(DataError, match=r"holds a wrong test_batch\.bin: delete it"):
        data.load("cifar10", "test")
    whole = path.read_bytes()
    for broken in (whole[: len(whole) // 2], b"rubbish", b""):
        path.write_bytes(broken)
        with pytest.raises(DataError, match=r"CIFAR-10|wrong"):
            data.load("cifar10")
    with pytest.raises(DataError, match=r"is not the true cifar-10-binary\.tar\.gz"):
        cifar.ARCHIVE.check(path)
    path.unlink()
    with pytest.raises(DataError, match=r"cannot be downloaded .* put cifar-10-binary\.tar\.gz into data/CIFAR10/raw"):
        data.load("cifar10")


def rewrite(path, change):
    """The archive again, each member's content passed through `change`, left out where that is None."""
    with tarfile.open(path) as archive:
        members = [(member, archive.extractfile(member).read()) for member in archive.getmembers()]
    with tarfile.open(path, "w:gz") as archive:
        for member, content in members:
            if (content := change(member.name, content)) is not None:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def test_an_archive_with_a_missing_file_is_refused(cifar10):
    path, _ = cifar10
    rewrite(path, lambda name, content: None if name.endswith("batch_3.bin") else content)
    with pytest.raises(DataError, match=r"cannot be read as the archive of CIFAR-10 .*data_batch_3\.bin.*: delete it"):
        data.load("cifar10")
    assert len(data.load("cifar10", "test")) == 2


def test_an_archive_with_a_folder_in_place_of_a_file_is_refused(cifar10):
    path, _ = cifar10
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(f"{cifar.INSIDE}/test_batch.bin")
        member.type = tarfile.DIRTYPE
        archive.addfile(member)
    with pytest.raises(DataError, match=r"holds a wrong test_batch\.bin"):
        data.load("cifar10", "test")


def test_one_changed_byte_is_refused(cifar10):
    path, _ = cifar10
    rewrite(path, lambda name, content: bytes([content[0] ^ 1]) + content[1:])
    for split, name in (("train", r"data_batch_1\.bin"), ("test", r"test_batch\.bin")):
        with pytest.raises(DataError, match=f"holds a wrong {name}: delete it"):
            data.load("cifar10", split)


def test_an_archive_that_unpacks_to_gigabytes_is_not_unpacked(cifar10, monkeypatch):
    path, _ = cifar10
    monkeypatch.setattr(cifar, "RECORDS", 2)
    rewrite(path, lambda name, content: content + bytes(50_000_000))
    tracemalloc.start()
    with pytest.raises(DataError, match="holds a wrong data_batch_1"):
        data.load("cifar10")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_the_whole_archive_has_a_digest(cifar10, monkeypatch):
    path, _ = cifar10
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    cifar.Archive("x.tar", (), digest).check(path)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(DataError, match=r"is not the true x\.tar\.gz: delete it"):
        cifar.Archive("x.tar", (), digest).check(path)
