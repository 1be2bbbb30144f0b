"""Pictures of one's own in the form of a dataset's images."""

import numpy as np
import pytest
from PIL import Image

from rlgen.core.errors import DataError
from rlgen.data.folder import Unreadable
from rlgen.data.picture_files import find, read


def save(path, *shape, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3)])
def test_a_picture_of_the_right_size_and_colours_is_unchanged(tmp_path, shape):
    pixels = save(tmp_path / "a.png", *shape)
    image = read(tmp_path / "a.png", (1 if len(shape) == 2 else 3, 8, 8))
    assert image.dtype == np.uint8
    assert (image == (pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))).all()


def test_colours_become_grey_and_grey_becomes_colours(tmp_path):
    colours = save(tmp_path / "colour.png", 8, 8, 3)
    luma = colours @ np.array([0.299, 0.587, 0.114])
    assert read(tmp_path / "colour.png", (1, 8, 8))[0] == pytest.approx(luma, abs=1)
    grey = save(tmp_path / "grey.png", 8, 8)
    assert (read(tmp_path / "grey.png", (3, 8, 8)) == grey).all()


def test_a_large_picture_is_cropped_to_the_proportions_and_scaled(tmp_path):
    pixels = np.zeros((40, 80), np.uint8)
    pixels[:, 20:60] = 255  # the square in the middle
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    assert (read(tmp_path / "wide.png", (1, 8, 8)) > 230).all()
    whole = read(tmp_path / "wide.png", (1, 4, 8))
    assert whole.shape == (1, 4, 8)
    assert (whole[0, :, 0] < 20).all()
    assert (whole[0, :, 4] > 235).all()


@pytest.mark.parametrize("content", [b"hello", b"", b"\x89PNG\r\n\x1a\n123"])
def test_what_is_no_picture_is_refused(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(Unreadable):
        read(tmp_path / "a.png", (1, 8, 8))


def test_a_missing_file_is_refused_with_the_reason(tmp_path):
    with pytest.raises(Unreadable, match="No such file"):
        read(tmp_path / "a.png", (1, 8, 8))


def test_files_of_folders_in_order_and_labelled_by_class_folders(tmp_path):
    for name in ("b.png", "a.jpg", "cat/2.png", "dog/one/1.jpeg", ".hidden/1.png", "cat/.x.png"):
        save(tmp_path / name, 4, 4)
    (tmp_path / "notes.txt").write_text("")
    found = find([tmp_path, tmp_path / "notes.txt"])
    names = [(file.path.relative_to(tmp_path).as_posix(), file.label) for file in found]
    labelled = [("cat/2.png", "cat"), ("dog/one/1.jpeg", "dog")]
    assert names == [("a.jpg", None), ("b.png", None), *labelled, ("notes.txt", None)]


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no png or jpg files"):
        find([tmp_path])
