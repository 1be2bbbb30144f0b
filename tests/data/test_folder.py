import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from rlgen import data
from rlgen.core.errors import DataError
from rlgen.data import folder


def save(path, size=(8, 8), mode="L", value=100):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, 0, 0, 255)[: len(mode)]).save(path)
    return path


def both(path, **options):
    """The train and the test images of a folder."""
    return [data.load(f"folder:{path}", split, **options) for split in ("train", "test")]


def test_a_folder_without_classes(tmp_path):
    for number in range(12):
        save(tmp_path / f"{number:02}.png", value=number)
    train, test = both(tmp_path)
    assert train.images.shape[1:] == (1, 8, 8)
    assert (train.labels, train.classes) == (None, ())
    assert len(train) > len(test) > 0
    assert sorted(torch.cat([train.images, test.images])[:, 0, 0, 0].tolist()) == list(range(12))


def test_a_folder_of_classes_in_colour(tmp_path):
    for number in range(6):
        save(tmp_path / "red" / f"{number}.jpg", mode="RGB", value=200)
        save(tmp_path / "grey" / f"{number}.png", value=50)
    for dataset in both(tmp_path):
        assert dataset.images.shape[1:] == (3, 8, 8)
        assert dataset.classes == ("grey", "red")
        assert set(dataset.labels.tolist()) == {0, 1}
        for image, label in zip(dataset.images, dataset.labels, strict=True):
            assert image[1].float().mean() == (0 if dataset.classes[label] == "red" else 50)


def test_the_classes_are_those_of_the_first_folder(tmp_path):
    for path in ("cat/indoors/1.png", "cat/2.png", "dog/a/b/1.png", "dog/2.png"):
        save(tmp_path / path)
    assert folder.read(tmp_path).classes == ("cat", "dog")


NAMES = {
    name: [f"{name}/{number}.png" for number in range(count)] for name, count in {"a": 40, "b": 20, "c": 300}.items()
}


def split(names):
    return folder.split(names, [name.split("/")[0] for name in names])


def test_each_class_is_split_by_itself():
    names = [name for members in NAMES.values() for name in members]
    test = split(names)
    for name, members in NAMES.items():
        assert test & set(members) == split(members), name
        assert 0.08 < len(test & set(members)) / len(members) < 0.28, name
    assert len(split([f"x/{i}" for i in range(6_000)])) == pytest.approx(1_000, rel=0.1)


@pytest.mark.parametrize("further", ["a/further.png", "a/0.jpg", "c/x.png", "d/1.png"])
def test_one_more_image_moves_no_other(further):
    names = [name for members in NAMES.values() for name in members]
    before, after = split(names), split([*names, further])
    assert before == after - {further}


def test_small_classes_have_an_image_in_each_split():
    for count in range(2, 8):
        members = {name: {f"{name}/{number}.png" for number in range(count)} for name in "abcdefghij"}
        test = split(sorted(set().union(*members.values())))
        assert all(0 < len(test & names) < count for names in members.values())
    alone = [f"{name}/1.png" for name in "abcdefgh"]  # classes of one image
    assert 0 < len(split(alone)) < len(alone)


def test_the_split_is_that_of_the_hash():
    """Fixed, for runs of earlier days are resumed with it."""
    assert split([f"a/{number}.png" for number in range(20)]) == {"a/0.png", "a/19.png"}


def test_names_are_the_same_on_every_system(tmp_path):
    composed, decomposed = "Zoë.png", "Zoe\u0308.png"
    assert folder._name(tmp_path / "a" / composed, tmp_path) == folder._name(tmp_path / "a" / decomposed, tmp_path)


def test_a_digest_changes_with_every_change_of_the_files(tmp_path):
    for number in range(6):
        save(tmp_path / "a" / f"{number}.png", value=number)
    digests = [folder.read(tmp_path).digest]
    train, test = both(tmp_path, size=16)
    assert digests == [train.digest] == [test.digest]
    save(tmp_path / "a" / "5.png", value=99)  # other content
    digests.append(folder.read(tmp_path).digest)
    (tmp_path / "a" / "5.png").rename(tmp_path / "a" / "6.png")  # another name
    digests.append(folder.read(tmp_path).digest)
    (tmp_path / "a").rename(tmp_path / "b")  # another class
    digests.append(folder.read(tmp_path).digest)
    save(tmp_path / "b" / "7.png")  # one more
    digests.append(folder.read(tmp_path).digest)
    assert len(set(digests)) == len(digests) == 5
    assert data.load("digits").digest == ""


TURNED = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: x[::-1].swapaxes(0, 1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: x.swapaxes(0, 1)[::-1],
}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 3)])
def test_an_image_is_turned_as_its_exif_orientation_demands(tmp_path, orientation, shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    decoded, found = folder.decode((tmp_path / "a.png").read_bytes(), tmp_path / "a.png")
    expected = TURNED[orientation](pixels)
    assert np.array_equal(decoded, expected if expected.ndim == 3 else expected[..., None])
    assert found == f"{expected.shape[1]}x{expected.shape[0]}"


def test_a_turned_image_is_cropped_after_it_is_turned(tmp_path):
    """Left half black, right half white, to be turned by a quarter: the top is black."""
    pixels = np.zeros((8, 16), np.uint8)
    pixels[:, 8:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    decoded, _ = folder.decode((tmp_path / "a.png").read_bytes(), tmp_path / "a.png", size=8)
    assert (decoded[:2] == 0).all()
    assert (decoded[-2:] == 255).all()


def png(width, height):
    """A PNG of a few bytes that claims to be this large."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [12_000, 30_000])  # Pillow warns of the first and refuses the second
def test_an_image_bomb_is_refused_in_one_line(tmp_path, side):
    for number in range(6):
        save(tmp_path / f"{number}.png")
    (tmp_path / "bomb.png").write_bytes(png(side, side))
    warnings.simplefilter("ignore")  # a refusal must not depend on the filters of the program
    for size in (None, 16):
        with pytest.raises(DataError, match=r"bomb\.png cannot be read as an image \(.*bomb.*\).*--skip-bad") as error:
            data.load(f"folder:{tmp_path}", size=size)
        assert "\n" not in str(error.value)
    assert sum(map(len, both(tmp_path, skip_bad=True))) == 6


def test_deep_images_are_refused(tmp_path):
    """Not cut to 8 bits, which would leave noise."""
    path = tmp_path / "deep.png"
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(path)
    with pytest.raises(folder.Unreadable, match="more than 8 bits per channel: convert it to 8"):
        folder.decode(path.read_bytes(), path)


def test_the_classes_of_a_folder_are_mixed(tmp_path):
    """The grids of a run show the first test images."""
    for name in "abc":
        for number in range(40):
            save(tmp_path / name / f"{number}.png")
    train, test = both(tmp_path)
    assert set(test.labels[:8].tolist()) == set(train.labels[:8].tolist()) == {0, 1, 2}


def test_mixed_sizes_need_one_size(tmp_path):
    save(tmp_path / "a.png", (8, 8))
    save(tmp_path / "b.png", (20, 10))
    with pytest.raises(DataError, match="mixes images of 20x10, 8x8 pixels: choose one --size, such as --size 32"):
        data.load(f"folder:{tmp_path}")
    assert data.load(f"folder:{tmp_path}", size=16).images.shape == (1, 1, 16, 16)


def test_modes_of_a_picture(tmp_path):
    save(tmp_path / "a.png", mode="RGBA")
    save(tmp_path / "b.png")
    assert data.load(f"folder:{tmp_path}").images.shape == (1, 3, 8, 8)
    Image.new("1", (8, 8), 1).save(tmp_path / "c.png")
    assert folder.decode((tmp_path / "c.png").read_bytes(), tmp_path)[0].shape == (8, 8, 1)
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(DataError, match=r"deep\.png cannot be read as an image \(more than 8 bits"):
        data.load(f"folder:{tmp_path}")


def test_images_too_large_for_memory_need_a_size(tmp_path):
    save(tmp_path / "a.png", (600, 600))
    save(tmp_path / "b.png", (600, 600))
    with pytest.raises(DataError, match="600x600 pixels: choose a --size"):
        data.load(f"folder:{tmp_path}")


def test_an_unreadable_image_is_named(tmp_path):
    save(tmp_path / "good.png")
    whole = save(tmp_path / "half.png", (64, 64)).read_bytes()
    for broken in (whole[: len(whole) // 2], b"not a picture", b""):
        (tmp_path / "half.png").write_bytes(broken)
        with pytest.raises(DataError, match=r"half\.png cannot be read"):
            data.load(f"folder:{tmp_path}")


def test_unreadable_images_are_counted_and_left_out_on_request(tmp_path, caplog):
    for number in range(7):
        save(tmp_path / f"{number}.png", value=number)
    for name in ("a.png", "b.jpg"):
        (tmp_path / name).write_bytes(b"not a picture")
    task = f"folder:{tmp_path}"
    with pytest.raises(DataError, match=r"a\.png cannot be read as an image .*, and 1 more of 9 files: .* --skip-bad"):
        data.load(task)
    train, test = data.load(task, skip_bad=True), data.load(task, "test", skip_bad=True)
    assert len(train) + len(test) == 7
    (line,) = [record.getMessage() for record in caplog.records]  # once, not for each split
    assert line.endswith("left out: a.png, b.jpg")
    for number in range(6):
        (tmp_path / f"{number}.png").write_bytes(b"")
    with pytest.raises(DataError, match="holds 1 readable png or jpg files: a dataset needs at least 2"):
        data.load(task, skip_bad=True)


def test_scaling_mixed_sizes_is_announced(tmp_path, caplog):
    save(tmp_path / "a.png", (8, 8))
    save(tmp_path / "b.png", (20, 10))
    assert data.load(f"folder:{tmp_path}", size=16).images.shape == (1, 1, 16, 16)
    assert "mixes images of 20x10, 8x8 pixels: all are cropped square and scaled to 16x16" in caplog.text


def test_folders_that_make_no_dataset(tmp_path):
    with pytest.raises(DataError, match="holds 0 readable png or jpg files: a dataset needs at least 2"):
        data.load(f"folder:{tmp_path}")
    save(tmp_path / "cat/1.png")
    save(tmp_path / "stray.png")
    with pytest.raises(DataError, match=r"class folders and, beside them, stray\.png: move it into a class folder"):
        data.load(f"folder:{tmp_path}")


def test_a_class_without_images_is_refused(tmp_path):
    for name in ("cat", "dog"):
        save(tmp_path / name / "1.png")
        save(tmp_path / name / "2.png")
    (tmp_path / "cow").mkdir()
    (tmp_path / "cow" / "notes.txt").touch()
    with pytest.raises(DataError, match=r"cow is a class without readable png or jpg files: add images or remove the"):
        folder.read(tmp_path)
    (tmp_path / "cow" / "1.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"cow is a class without readable png or jpg files"):
        folder.read(tmp_path, skip_bad=True)
    save(tmp_path / "cow" / "1.png")
    assert folder.read(tmp_path).classes == ("cat", "cow", "dog")


def test_hidden_folders_and_files_are_no_images(tmp_path):
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        save(tmp_path / name)
    before = folder.read(tmp_path)
    for name in (".ipynb_checkpoints/1.png", "cat/.ipynb_checkpoints/1.png", "dog/._1.png"):
        save(tmp_path / name)
    (tmp_path / ".git").mkdir()
    after = folder.read(tmp_path)
    assert (after.classes, after.digest, len(after.images)) == (("cat", "dog"), before.digest, 3)


def test_a_hidden_folder_may_hold_a_dataset(tmp_path):
    save(tmp_path / ".data" / "1.png")
    save(tmp_path / ".data" / "2.png")
    (tmp_path / ".data" / "notes").mkdir()  # no class: the images lie in the folder itself
    assert folder.read(tmp_path / ".data").classes == ()
