import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from rlgen import data
from rlgen.data import idx, objects


@pytest.fixture
def few(tmp_path, monkeypatch):
    """60 images for training and 20 for the test, cached in the folder returned."""
    monkeypatch.setattr(objects, "COUNTS", {"train": 60, "test": 20})
    monkeypatch.setattr(idx, "cache", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "objects"


def equal(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in vars(one))


def test_an_image_depends_on_its_index_and_the_seed_alone():
    many = objects.draw_many(730, 2 * objects.CHUNK + 5)
    assert equal(objects.draw_many(730, 2 * objects.CHUNK + 5), many)
    for place in (0, 1, objects.CHUNK - 1, objects.CHUNK, 2 * objects.CHUNK + 4):
        image, label, box, mask = objects.draw(730 + place)
        assert np.array_equal(image, many.images[place])
        assert label == many.labels[place] == (730 + place) % 10
        assert np.array_equal(box, many.boxes[place])
        assert np.array_equal(mask, many.masks[place])
    assert not np.array_equal(objects.draw(730, seed=1)[0], many.images[0])
    assert len({image.tobytes() for image in many.images}) == len(many.images)


def test_the_drawings_are_those_of_their_version():
    """A change of a pixel needs another VERSION: files in a cache are read by their names."""
    drawn = objects.draw_many(0, 40)
    digest = hashlib.sha256(drawn.images.tobytes() + drawn.masks.tobytes()).hexdigest()
    assert (objects.VERSION, digest[:16]) == (1, "4234a6b77a089f19")


def test_labels_and_classes_are_balanced():
    drawn = objects.draw_many(0, 100)
    assert np.bincount(drawn.labels).tolist() == [10] * 10
    assert len(objects.CLASSES) == len(set(objects.CLASSES)) == 10


@pytest.mark.parametrize("size", [32, 48, 20])
def test_boxes_are_tight_around_the_masks(size):
    drawn = objects.draw_many(0, 300, size=size)
    assert drawn.images.shape == (300, 3, size, size)
    for mask, (left, top, right, bottom) in zip(drawn.masks, drawn.boxes, strict=True):
        assert 0 <= left < right <= size
        assert 0 <= top < bottom <= size
        inside = mask[top:bottom, left:right]
        assert inside.sum() == mask.sum() > 0
        assert inside[0].any()
        assert inside[-1].any()
        assert inside[:, 0].any()
        assert inside[:, -1].any()


def test_masks_are_where_the_object_is(monkeypatch):
    """Without texture and noise, a plain object has one colour, and no other pixel has it."""
    for name in ("TEXTURE", "GRAIN", "SHADE"):
        monkeypatch.setattr(objects, name, 0.0)
    drawn = objects.draw_many(0, 200)
    for image, label, mask in zip(drawn.images, drawn.labels, drawn.masks, strict=True):
        if label < 5:
            colour = np.median(image[:, mask], 1)
            same = (np.abs(image - colour[:, None, None]) < 2).all(0)
            assert (same & ~mask).sum() == 0
            assert same[mask].mean() > 0.5  # the others lie on the outline


def test_a_size_is_another_scale_of_the_same_scene(monkeypatch):
    monkeypatch.setattr(objects, "GRAIN", 0.0)
    small, large = objects.draw_many(0, 100, size=32), objects.draw_many(0, 100, size=64)
    halved = large.images.reshape(100, 3, 32, 2, 32, 2).mean((3, 5))
    assert np.abs(halved - small.images).mean() < 12
    assert np.abs(large.boxes / 2 - small.boxes).max() <= 3
    assert np.abs(large.masks.mean((1, 2)) - small.masks.mean((1, 2))).max() < 0.05


def test_objects_are_anywhere_of_any_size_and_partly_covered():
    drawn = objects.draw_many(0, 2_000)
    area = drawn.masks.sum((1, 2))
    assert np.quantile(area, 0.9) > 2.5 * np.quantile(area, 0.1)
    centres = (drawn.boxes[:, :2] + drawn.boxes[:, 2:]) / 2
    assert (centres.min(0) < 8).all()
    assert (centres.max(0) > 24).all()
    assert drawn.masks.any(0).mean() > 0.95
    by_class = [area[drawn.labels == label].mean() for label in range(10)]
    assert max(by_class) < 1.6 * min(by_class)


def test_colours_carry_no_information_on_the_class():
    """The mean colours of the images of a class are those of all, but for chance."""
    drawn = objects.draw_many(0, 4_000)
    means = drawn.images.mean((2, 3))
    for label in range(10):
        members = means[drawn.labels == label]
        error = means.std(0) / len(members) ** 0.5
        assert (np.abs(members.mean(0) - means.mean(0)) < 4 * error).all()


def test_the_splits_are_one_sequence(few):
    train, test = data.load("objects"), data.load("Objects", "test")
    assert (train.name, train.classes) == ("objects", objects.CLASSES)
    assert (train.images.shape, test.images.shape) == ((60, 3, 32, 32), (20, 3, 32, 32))
    assert (train.images.dtype, train.labels.dtype) == (torch.uint8, torch.int64)
    assert np.array_equal(train.images[7], objects.draw(7)[0])
    assert np.array_equal(test.images[7], objects.draw(50_007)[0])
    assert data.load("objects", "test", size=16).images.shape == (20, 3, 16, 16)
    assert objects.FIRST["test"] == 50_000


def test_a_split_is_drawn_once(few, monkeypatch):
    drawn = objects.read("train")
    monkeypatch.setattr(objects, "draw_many", None)
    assert equal(objects.read("train"), drawn)
    assert [path.name for path in few.iterdir()] == ["v1-train-32.bin"]
    drawn.images[0, 0, 0, 0] ^= 1  # memory of one's own


@pytest.mark.parametrize("damage", [lambda old: old[:-1], lambda old: b"", lambda old: old[:99] + b"!!" + old[101:]])
def test_a_damaged_cache_is_drawn_again(few, damage):
    drawn = objects.read("test")
    (path,) = few.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert equal(objects.read("test"), drawn)
    assert path.read_bytes() == whole


def test_a_cache_that_cannot_be_written(few, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder would be")
    assert len(objects.read("test").images) == 20
    assert len(objects.read("test").images) == 20


def test_large_images_are_not_cached(few):
    assert objects.read("test", 65).images.shape == (20, 3, 65, 65)
    assert not few.exists()


def test_processes_draw_the_same():
    program = (
        "import hashlib, json; from rlgen.data import objects;"
        "print(json.dumps(hashlib.sha256(objects.draw_many(123, 9).images.tobytes()).hexdigest()))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == hashlib.sha256(objects.draw_many(123, 9).images.tobytes()).hexdigest()
