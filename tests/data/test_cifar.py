import hashlib
import io
import os
import tarfile
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch

from rlgen import data
from rlgen.core.errors import DataError
from rlgen.data import cifar, idx


def records(count):
    """(count, 3073)"""
    table = np.random.default_rng(0).integers(0, 256, (count, cifar.LENGTH), np.uint8)
    table[:, 0] %= 10
    return table


def pack(path, members):
    """Write an archive of (member, content)."""
    with tarfile.open(path, "w:gz") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def named(name):
    return tarfile.TarInfo(f"{cifar.INSIDE}/{name}")


@pytest.fixture
def true(monkeypatch):
    """Declare the file at a path to be the true archive."""

    def declare(path):
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        archive = cifar.Archive(cifar.ARCHIVE.name, (), digest, size=len(content))
        monkeypatch.setattr(cifar, "ARCHIVE", archive)
        monkeypatch.setitem(data.SOURCES, "cifar10", replace(data.SOURCES["cifar10"], files={"train": (archive,)}))

    return declare


@pytest.fixture
def cifar10(tmp_path, monkeypatch, true):
    """The path of an archive with two records in each file, and all records (N, 3073) by split."""
    table = {split: records(2 * len(names)) for split, names in cifar.BATCHES.items()}
    path = tmp_path / "data/CIFAR10/raw/cifar-10-binary.tar.gz"
    path.parent.mkdir(parents=True)
    parts = [
        (named(name), table[split][2 * number : 2 * number + 2].tobytes())
        for split, names in cifar.BATCHES.items()
        for number, name in enumerate(names)
    ]
    pack(path, parts)
    true(path)
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


def test_a_wrong_cifar10_is_refused(cifar10):
    path, _ = cifar10
    whole = path.read_bytes()
    changed = whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]
    for broken, reason in (
        (whole[: len(whole) // 2], rf"it has {len(whole) // 2:,} bytes, not {len(whole):,}"),
        (whole + b"\0", "it has .* bytes, not .*"),
        (b"rubbish", "it has 7 bytes, not .*"),
        (b"", "it has 0 bytes, not .*"),
        (changed, "it has another sha256"),
    ):
        path.write_bytes(broken)
        for split in ("train", "test"):
            with pytest.raises(DataError, match=rf"is not the true cifar-10-binary\.tar\.gz: {reason}; delete it"):
                data.load("cifar10", split)
        with pytest.raises(DataError, match=reason):
            cifar.ARCHIVE.check(path)
    path.unlink()
    with pytest.raises(DataError, match=r"cannot be downloaded .* put cifar-10-binary\.tar\.gz into data/CIFAR10/raw"):
        data.load("cifar10")
    with pytest.raises(DataError, match="No such file"):
        cifar.ARCHIVE.check(path)


def link_to_itself():
    member = named("data_batch_1.bin")
    member.type, member.linkname = tarfile.LNKTYPE, member.name
    return [(member, b"")]


def large_header():
    """A PAX header of 40 MB, packed to some 40 kB."""
    member = named("data_batch_1.bin")
    member.pax_headers = {"comment": "x" * 40_000_000}
    return [(member, b"")]


@pytest.mark.parametrize("members", [link_to_itself, large_header])
def test_another_archive_is_not_opened_as_one(cifar10, members):
    path, _ = cifar10
    pack(path, members())
    for of_true_size in (False, True):
        if of_true_size:
            path.write_bytes(path.read_bytes()[: cifar.ARCHIVE.size].ljust(cifar.ARCHIVE.size, b"\0"))
        tracemalloc.start()
        with pytest.raises(DataError, match="is not the true"):
            data.load("cifar10")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4_000_000


def test_a_sparse_file_of_a_terabyte_is_refused_at_once(cifar10):
    path, _ = cifar10
    os.truncate(path, 1 << 40)
    with pytest.raises(DataError, match="it has 1,099,511,627,776 bytes"):
        data.load("cifar10")


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([(named("data_batch_1.bin"), records(2).tobytes())], "data_batch_2"),  # a missing file
        ([(named(name), records(2).tobytes()[:-1]) for name in cifar.BATCHES["train"]], "cannot reshape"),
        (link_to_itself(), ""),
    ],
)
def test_a_strange_archive_of_the_true_sha256_is_one_clear_line(cifar10, true, members, reason):
    """As it would be after a slip in the table of digests."""
    path, _ = cifar10
    pack(path, members)
    true(path)
    with pytest.raises(DataError, match=f"cannot be read as the archive of CIFAR-10 .*{reason}.*: delete it") as error:
        data.load("cifar10")
    assert "\n" not in str(error.value)


def test_the_archive_may_be_a_link(cifar10, tmp_path):
    path, _ = cifar10
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert len(data.load("cifar10", "test")) == 2
