import gzip
import hashlib
import struct
import subprocess
import sys

import numpy as np
import pytest
import torch

from rlgen import data
from rlgen.core.errors import DataError, UserError
from rlgen.data import idx


def content(values):
    return struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def tiny(count, seed):
    """The two files of one split, and their content."""
    draw = np.random.default_rng(seed)
    arrays = (draw.integers(0, 256, (count, 28, 28), np.uint8), draw.integers(0, 10, count, np.uint8))
    return [
        (idx.File(f"{seed}-{kind}", array.shape, hashlib.sha256(content(array)).hexdigest()), array)
        for kind, array in zip(("images", "labels"), arrays, strict=True)
    ]


SPLITS = {"train": tiny(7, 1), "test": tiny(3, 2)}


@pytest.fixture
def mnist(tmp_path, monkeypatch):
    """No network, and an MNIST of ten images, which the test writes into the folder returned."""
    files = {split: tuple(file for file, _ in pair) for split, pair in SPLITS.items()}
    monkeypatch.setitem(data.SOURCES, "mnist", idx.Source("MNIST", (), files))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RLGEN_DATA", raising=False)
    monkeypatch.setenv("RLGEN_OFFLINE", "1")
    monkeypatch.setattr(idx, "cache", lambda: tmp_path / "cache")
    return tmp_path / "data/MNIST/raw"


def write(folder, splits=("train", "test")):
    folder.mkdir(parents=True, exist_ok=True)
    for split in splits:
        for file, array in SPLITS[split]:
            (folder / f"{file.name}.gz").write_bytes(gzip.compress(content(array)))


def test_importing_and_listing_take_no_torch():
    program = (
        "import sys; from rlgen import data; list(data.listing()); data.resolve('mnist');"
        "sys.exit(bool({'torch', 'numpy', 'PIL', 'sklearn'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    ("task", "name"), [("MNIST", "mnist"), ("Fashion_MNIST", "fashion-mnist"), ("FashionMNIST", "fashion-mnist")]
)
def test_names_in_any_spelling(task, name):
    assert data.resolve(task) == name


def test_unknown_names_are_refused():
    with pytest.raises(UserError, match='no dataset "minst": did you mean mnist'):
        data.resolve("minst")
    with pytest.raises(UserError, match="choose mnist, fashion-mnist, cifar10, objects, digits, ring, grid, spiral"):
        data.resolve("celeba")


def test_a_folder_that_does_not_exist_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(DataError, match="none does not exist; give the path of a folder with png or jpg files"):
        data.resolve(f"folder:{tmp_path}/none")
    (tmp_path / "file.png").touch()
    with pytest.raises(DataError, match=r"file\.png is a file, not a folder; give the path of a folder"):
        data.resolve(f"folder:{tmp_path}/file.png")
    assert data.resolve(f"Folder:{tmp_path}/../{tmp_path.name}") == f"folder:{tmp_path}"


def test_idx_splits(mnist):
    write(mnist)
    assert data.canonical("MNIST", fallback=False) == ("mnist", None)
    for split, ((_, images), (_, labels)) in SPLITS.items():
        dataset = data.load("mnist", split)
        assert dataset.name == "mnist"
        assert dataset.images.dtype == torch.uint8
        assert np.array_equal(dataset.images[:, 0], images)
        assert np.array_equal(dataset.labels, labels)
    assert data.load("mnist", size=32).images.shape == (7, 1, 32, 32)


def test_a_missing_dataset_is_replaced_with_a_notice(mnist):
    write(mnist, ["train"])
    task, notice = data.canonical("mnist")
    assert task == "digits"
    assert "\n" not in notice
    assert "data/MNIST/raw" in notice
    assert "2-images.gz" in notice
    with pytest.raises(DataError, match="cannot be downloaded") as error:
        data.canonical("mnist", fallback=False)
    assert error.value.code == 5


def test_a_corrupt_dataset_is_not_replaced(mnist):
    write(mnist)
    (mnist / "1-images.gz").write_bytes(b"rubbish")
    assert data.canonical("mnist") == ("mnist", None)
    with pytest.raises(DataError, match=r"1-images\.gz is not the true 1-images"):
        data.load("mnist")


def test_listing_says_where_each_dataset_is(mnist):
    where = {name: place for name, _, place in data.listing()}
    assert (where["mnist"], where["digits"]) == ("not downloaded", "scikit-learn")
    write(mnist)
    assert {name: place for name, _, place in data.listing()}["mnist"] == "data/MNIST/raw"


def test_the_real_mnist():
    source = data.SOURCES["mnist"]
    if any(idx.find(source, file) is None for files in source.files.values() for file in files):
        pytest.skip("MNIST is not on this machine: set RLGEN_DATA to the folder that holds MNIST/raw")
    train, test = data.load("mnist"), data.load("mnist", "test")
    assert train.images.shape == (60_000, 1, 28, 28)
    assert test.images.shape == (10_000, 1, 28, 28)
    assert train.labels[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert test.labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert train.images.double().mean() / 255 == pytest.approx(0.1307, abs=1e-4)
