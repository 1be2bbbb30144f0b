"""Grids read from run folders of others."""

import json
import os

import numpy as np
import pytest
from PIL import GifImagePlugin, Image, PngImagePlugin

from rlgen.core.errors import UserError
from rlgen.report import saved_grids
from rlgen.report.pictures import evolution, tiles, write_png
from rlgen.report.saved_grids import KEY, Layout

WHOLE = Layout(0, 0, 10, 10, 2, ["a", "b"])


def save(path, layout=WHOLE, shape=(42, 42, 3)):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    write_png(pixels, path, layout)
    return pixels


def save_text(path, text):
    info = PngImagePlugin.PngInfo()
    info.add_text(KEY, text)
    Image.new("L", (42, 42)).save(path, pnginfo=info)


@pytest.mark.parametrize("shape", [(42, 42), (42, 42, 3)])
def test_a_grid_is_read_as_it_was_written(tmp_path, shape):
    pixels = save(tmp_path / "a.png", shape=shape)
    picture, layout = saved_grids.read(tmp_path / "a.png", 4)
    assert np.array_equal(picture, pixels)
    assert layout == WHOLE


LAYOUTS = {
    "no JSON": "{",
    "a list": "[]",
    "nested": "[" * 200_000,
    "without a part": json.dumps({**WHOLE._asdict(), "gap": 0} | {"labels": []})[:-20] + "}",
    "another part": json.dumps({**WHOLE._asdict(), "more": 1}),
    "a negative number": json.dumps(WHOLE._replace(top=-1)._asdict()),
    "a real number": json.dumps(WHOLE._replace(top=0.5)._asdict()),
    "a truth value": json.dumps(WHOLE._replace(top=True)._asdict()),
    "no height": json.dumps(WHOLE._replace(height=0, gap=0)._asdict()),
    "beyond the picture": json.dumps(WHOLE._replace(left=33)._asdict()),
    "a large number": json.dumps(WHOLE._replace(height=10**30)._asdict()),
    "labels that are numbers": json.dumps(WHOLE._replace(labels=[1])._asdict()),
    "a million labels": json.dumps(WHOLE._replace(labels=["a"] * 100_000)._asdict()),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_strange_layout_is_refused_in_one_line(tmp_path, name):
    save_text(tmp_path / "a.png", LAYOUTS[name])
    with pytest.raises(UserError, match=r"a\.png cannot be read as a grid of images: ") as error:
        saved_grids.read(tmp_path / "a.png", 4)
    assert "\n" not in str(error.value)


def test_only_a_png_file_is_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(GifImagePlugin.GifImageFile, "_open", lambda file: pytest.fail("decoded as a GIF"))
    save(tmp_path / "whole.png")
    Image.new("L", (42, 42)).save(tmp_path / "gif.png", "GIF")
    Image.new("L", (42, 42)).save(tmp_path / "jpeg.png", "JPEG")
    Image.new("1", (5_000, 5_000)).save(tmp_path / "bomb.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:200])
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("gif", "jpeg", "bomb", "link", "cut", "pipe", "missing"):
        with pytest.raises(UserError, match="cannot be read as a grid"):
            saved_grids.read(tmp_path / f"{name}.png", 4)


def test_grids_that_cannot_be_read_are_left_out_with_one_warning_each(tmp_path, caplog):
    samples = tmp_path / "samples"
    for time in range(5):
        write_png(tiles(np.full((4, 8, 8), 50 * time, np.uint8), columns=4), samples / f"{time:09d}.png")
    (samples / "000000001.png").write_bytes(b"not a picture")
    save(samples / "000000003.png")
    evolution(samples, tmp_path / "all.png", tmp_path / "all.gif", columns=4)
    first, second = (record.getMessage() for record in caplog.records)
    assert "000000001.png cannot be read" in first
    assert "000000003.png differs in form" in second
    with Image.open(tmp_path / "all.gif") as film:
        assert film.n_frames == 3
    for path in samples.iterdir():
        path.write_bytes(b"")
    with pytest.raises(UserError, match="has no grid that can be read"):
        evolution(samples, tmp_path / "all.png", tmp_path / "all.gif", columns=4)
