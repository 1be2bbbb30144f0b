import gzip
import hashlib
import io
import struct
import subprocess
import sys
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from rlgen import data
from rlgen.core.errors import DataError, UserError
from rlgen.data import cifar, idx


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
    """A machine without network where MNIST has ten images; writing them is up to the test."""
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
def test_names_are_forgiving(task, name):
    assert data.resolve(task) == name


def test_unknown_names_are_refused(tmp_path):
    with pytest.raises(UserError, match='no dataset "minst": did you mean mnist'):
        data.resolve("minst")
    with pytest.raises(UserError, match="there are mnist, fashion-mnist, cifar10, digits, folder:PATH"):
        data.resolve("celeba")
    with pytest.raises(DataError, match="is not a folder"):
        data.resolve(f"folder:{tmp_path}/none")


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


def test_what_is_missing_is_replaced_aloud(mnist):
    write(mnist, ["train"])
    task, notice = data.canonical("mnist")
    assert task == "digits"
    assert "\n" not in notice
    assert "data/MNIST/raw" in notice
    assert "2-images.gz" in notice
    with pytest.raises(DataError, match="cannot be downloaded") as error:
        data.canonical("mnist", fallback=False)
    assert error.value.code == 5


def test_what_is_corrupt_is_not_replaced(mnist):
    write(mnist)
    (mnist / "1-images.gz").write_bytes(b"rubbish")
    assert data.canonical("mnist") == ("mnist", None)
    with pytest.raises(DataError, match=r"1-images\.gz is not the true 1-images"):
        data.load("mnist")


def test_listing_tells_what_is_there(mnist):
    where = {name: place for name, _, place in data.listing()}
    assert (where["mnist"], where["digits"]) == ("not downloaded yet", "always there")
    write(mnist)
    assert {name: place for name, _, place in data.listing()}["mnist"] == "data/MNIST/raw"


def test_digits_are_split_the_same_way_each_time():
    train, test = data.load("digits"), data.load("digits", "test")
    assert train.images.shape == (1498, 1, 8, 8)
    assert (len(test), len(train) + len(test)) == (299, 1797)
    assert torch.equal(train.images, data.load("digits").images)
    assert train.images.max() == 255
    assert test.labels.bincount(minlength=10).min() >= 20
    seen = {image.numpy().tobytes() for image in train.images}
    assert not any(image.numpy().tobytes() in seen for image in test.images)


def test_digits_scale_up_in_place():
    small, large = data.load("digits", "test").images, data.load("digits", "test", size=28).images
    assert large.shape == (299, 1, 28, 28)
    back = torch.nn.functional.interpolate(large.float(), size=8, mode="area")
    assert (back - small).abs().mean() < 16


def save(path, size=(8, 8), mode="L", value=100):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, 0, 0, 255)[: len(mode)]).save(path)
    return path


def test_a_folder_without_classes(tmp_path):
    for number in range(12):
        save(tmp_path / f"{number:02}.png", value=number)
    train, test = data.load(f"folder:{tmp_path}"), data.load(f"folder:{tmp_path}", "test")
    assert train.images.shape == (10, 1, 8, 8)
    assert train.labels is None
    assert sorted(torch.cat([train.images, test.images])[:, 0, 0, 0].tolist()) == list(range(12))


def test_a_folder_of_classes_in_colour(tmp_path):
    for number in range(6):
        save(tmp_path / "red" / f"{number}.jpg", mode="RGB", value=200)
        save(tmp_path / "grey" / f"{number}.png", value=50)
    dataset = data.load(f"folder:{tmp_path}")
    assert dataset.images.shape == (10, 3, 8, 8)
    assert dataset.classes == ("grey", "red")
    for image, label in zip(dataset.images, dataset.labels, strict=True):
        assert image[1].float().mean() == (0 if dataset.classes[label] == "red" else 50)


def test_the_classes_of_a_folder_are_mixed(tmp_path):
    """Pictures of a run show the first test images."""
    for name in "abc":
        for number in range(40):
            save(tmp_path / name / f"{number}.png")
    train, test = (data.load(f"folder:{tmp_path}", split) for split in ("train", "test"))
    assert set(test.labels[:8].tolist()) == set(train.labels[:8].tolist()) == {0, 1, 2}


def test_mixed_sizes_want_one_size(tmp_path):
    save(tmp_path / "a.png", (8, 8))
    save(tmp_path / "b.png", (20, 10))
    with pytest.raises(DataError, match="mixes images of 20x10, 8x8 pixels: give them one --size"):
        data.load(f"folder:{tmp_path}")
    assert data.load(f"folder:{tmp_path}", size=16).images.shape == (1, 1, 16, 16)


def test_modes_of_a_picture(tmp_path):
    save(tmp_path / "a.png", mode="RGBA")
    save(tmp_path / "b.png")
    assert data.load(f"folder:{tmp_path}").images.shape == (1, 3, 8, 8)
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(DataError, match=r"deep\.png cannot be read as an image \(more than 8 bits"):
        data.load(f"folder:{tmp_path}")


def test_pictures_too_large_for_memory_want_a_size(tmp_path):
    save(tmp_path / "a.png", (600, 600))
    save(tmp_path / "b.png", (600, 600))
    with pytest.raises(DataError, match="600x600 pixels: give a --size"):
        data.load(f"folder:{tmp_path}")


def test_an_unreadable_picture_is_named(tmp_path):
    save(tmp_path / "good.png")
    whole = save(tmp_path / "half.png", (64, 64)).read_bytes()
    for broken in (whole[: len(whole) // 2], b"not a picture", b""):
        (tmp_path / "half.png").write_bytes(broken)
        with pytest.raises(DataError, match=r"half\.png cannot be read"):
            data.load(f"folder:{tmp_path}")


def test_unreadable_pictures_are_counted_and_skipped_on_request(tmp_path, caplog):
    for number in range(7):
        save(tmp_path / f"{number}.png", value=number)
    for name in ("a.png", "b.jpg"):
        (tmp_path / name).write_bytes(b"not a picture")
    task = f"folder:{tmp_path}"
    with pytest.raises(DataError, match=r"a\.png cannot be read as an image .*, and 1 more of 9 files: .* --skip-bad"):
        data.load(task)
    train, test = data.load(task, skip_bad=True), data.load(task, "test", skip_bad=True)
    assert len(train) + len(test) == 7
    (line,) = [record.getMessage() for record in caplog.records]  # said once, not for each split
    assert line.endswith("left out: a.png, b.jpg")
    for number in range(6):
        (tmp_path / f"{number}.png").write_bytes(b"")
    with pytest.raises(DataError, match="holds 1 png or jpg files"):
        data.load(task, skip_bad=True)


def test_scaling_mixed_sizes_is_told(tmp_path, caplog):
    save(tmp_path / "a.png", (8, 8))
    save(tmp_path / "b.png", (20, 10))
    assert data.load(f"folder:{tmp_path}", size=16).images.shape == (1, 1, 16, 16)
    assert "mixes images of 20x10, 8x8 pixels: all are cut square and scaled to 16x16" in caplog.text


@pytest.fixture
def cifar10(tmp_path, monkeypatch):
    """An archive of two records a file, and what is in them."""
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


def test_folders_that_make_no_dataset(tmp_path):
    with pytest.raises(DataError, match="holds 0 png or jpg files"):
        data.load(f"folder:{tmp_path}")
    save(tmp_path / "cat/1.png")
    save(tmp_path / "stray.png")
    with pytest.raises(DataError, match=r"class folders and, beside them, stray\.png"):
        data.load(f"folder:{tmp_path}")


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
