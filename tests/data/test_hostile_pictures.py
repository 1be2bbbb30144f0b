"""Picture folders of others: what is no picture is refused, without being run, waited for or unpacked."""

import io
import os
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from rlgen import data
from rlgen.core.errors import DataError
from rlgen.data import folder, picture_files
from rlgen.data.folder import Unreadable


@pytest.fixture
def pictures(tmp_path):
    """A folder of three pictures."""
    directory = tmp_path / "pictures"
    directory.mkdir()
    for number in range(3):
        Image.new("L", (8, 8), 40 * number).save(directory / f"{number}.png")
    return directory


def refused(directory, name, reason):
    """That a file is refused as a part of a dataset, left out on request, and refused by itself."""
    with pytest.raises(DataError, match=f"{name} cannot be read as an image.*{reason}.*--skip-bad") as error:
        data.load(f"folder:{directory}", size=8)
    assert "\n" not in str(error.value)
    assert len(folder.read(directory, 8, skip_bad=True).images) == 3
    with pytest.raises(Unreadable, match=reason):
        picture_files.read(directory / name, (1, 8, 8))


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(x) print\n%%EOF\n"


@pytest.mark.parametrize("name", ["x.png", "x.jpg"])
def test_postscript_is_not_given_to_ghostscript(pictures, monkeypatch, name):
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *args: pytest.fail("Ghostscript was started"))
    (pictures / name).write_bytes(POSTSCRIPT)
    refused(pictures, name, "neither a PNG nor a JPEG file")


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "PPM", "ICO", "WEBP", "PDF"])
def test_no_format_but_png_and_jpeg_is_decoded(pictures, form):
    Image.new("RGB", (8, 8), "red").save(pictures / "x.png", form)
    refused(pictures, "x.png", "neither a PNG nor a JPEG file")


def test_png_and_jpeg_are_known_by_their_content(pictures):
    Image.new("RGB", (8, 8), "red").save(pictures / "x.png", "JPEG")
    Image.new("RGB", (8, 8), "red").save(pictures / "y.jpg", "PNG")
    assert len(folder.read(pictures).images) == 5


def test_a_pipe_among_the_pictures_is_not_waited_for(pictures, tmp_path):
    os.mkfifo(pictures / "x.png")
    refused(pictures, "x.png", "no regular file")
    (pictures / "x.png").unlink()
    os.mkfifo(tmp_path / "pipe")
    (pictures / "y.png").symlink_to(tmp_path / "pipe")
    refused(pictures, "y.png", "no regular file")


def test_a_link_to_a_device_is_not_read(pictures):
    (pictures / "x.png").symlink_to("/dev/zero")
    refused(pictures, "x.png", "no regular file")


def test_a_link_to_a_picture_is_that_picture(pictures, tmp_path):
    Image.new("L", (8, 8), 200).save(tmp_path / "elsewhere.png")
    (pictures / "x.png").symlink_to(tmp_path / "elsewhere.png")
    assert 200 in folder.read(pictures).images
    assert (picture_files.read(pictures / "x.png", (1, 8, 8)) == 200).all()


@pytest.mark.parametrize(("target", "reason"), [("x.png", "symbolic links"), ("nowhere", "No such file")])
def test_a_link_to_nothing_is_refused(pictures, target, reason):
    (pictures / "x.png").symlink_to(pictures / target)
    refused(pictures, "x.png", reason)


@pytest.mark.parametrize("target", ["/", ".", "cat"])
def test_a_link_to_a_folder_is_refused_and_not_followed(tmp_path, target):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(2):
            Image.new("L", (8, 8)).save(tmp_path / name / f"{number}.png")
    (tmp_path / "dog" / "more").symlink_to(tmp_path / target)
    for read in (folder.read, lambda path: picture_files.find([path])):
        with pytest.raises(DataError, match="dog/more is a link to a folder, which is not followed: copy the folder"):
            read(tmp_path)
    (tmp_path / "dog" / "more").rename(tmp_path / "dog" / ".more")
    assert len(folder.read(tmp_path).images) == len(picture_files.find([tmp_path])) == 4


def test_hidden_folders_are_no_classes(tmp_path):
    for name in ("cat/1.png", "dog/1.png", ".ipynb_checkpoints/1.png", "cat/.ipynb_checkpoints/2.png", "dog/._1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(tmp_path / name)
    assert folder.read(tmp_path).classes == ("cat", "dog")
    assert [(file.label, file.path.name) for file in picture_files.find([tmp_path])] == [
        ("cat", "1.png"), ("dog", "1.png"),
    ]  # fmt: skip


def test_a_folder_that_is_named_like_a_picture_is_a_folder(tmp_path):
    for number in range(2):
        path = tmp_path / "cat.png" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("L", (8, 8)).save(path)
    assert folder.read(tmp_path).classes == ("cat.png",)


def test_a_sparse_file_of_a_terabyte_is_not_read(pictures):
    (pictures / "x.png").touch()
    os.truncate(pictures / "x.png", 1 << 40)
    started = time.perf_counter()
    refused(pictures, "x.png", "more than the 200,000,000 that are read")
    assert time.perf_counter() - started < 5


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, *chunks, content=b""):
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", zlib.compress(content)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


HOSTILE = {
    "of more than 24 million pixels": (png(5_000, 5_000), "25,000,000 pixels, of which 24,000,000 .* scale it down"),
    "of more pixels than Pillow reads": (png(30_000, 30_000), "bomb"),
    "of more pixels than there are numbers": (png(2**31 - 1, 2**31 - 1), ""),
    "without pixels": (png(0, 8), ""),
    "with less content than pixels": (png(8, 8), ""),
    "with text that unpacks to ten megabytes": (
        png(8, 8, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10_000_000)))),
        "",
    ),
    "with a chunk longer than the file": (png(8, 8)[:33] + struct.pack(">I", 2**31 - 1) + b"tEXt", ""),
    "with damaged EXIF": (png(8, 8, chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff")), ""),
    "cut short": (png(8, 8, content=bytes(72))[:40], ""),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_png_that_harms_is_refused_in_one_line(name):
    content, reason = HOSTILE[name]
    with pytest.raises(Unreadable, match=reason or None) as error:
        folder.decode(content, "x.png", 8)
    assert str(error.value)
    assert "\n" not in str(error.value)


def test_random_damage_is_refused_or_decoded():
    """Of 400 files with a few changed bytes none ends in another error."""
    draw = np.random.default_rng(0)
    wholes = []
    for form, mode in (("PNG", "RGBA"), ("PNG", "P"), ("JPEG", "RGB"), ("JPEG", "CMYK")):
        file, exif = io.BytesIO(), Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(draw.integers(0, 256, (8, 8, 3), np.uint8)).convert(mode).save(file, form, exif=exif)
        wholes.append(file.getvalue())
    outcomes = set()
    for number in range(400):
        content = bytearray(wholes[number % len(wholes)])
        for place in draw.integers(0, len(content), 3):
            content[place] = draw.integers(0, 256)
        try:
            outcomes.add(folder.decode(bytes(content), "x.png", 8)[0].shape[:2])
        except Unreadable:
            outcomes.add("refused")
    assert outcomes == {(8, 8), "refused"}


def jpeg(width, height, **options):
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 64, (height, width, 3))
    pixels = np.linspace(0, 191, width)[:, None] + noise
    Image.fromarray(pixels.astype(np.uint8)).save(file, "JPEG", **options)
    return file.getvalue()


@pytest.fixture
def small_limit(monkeypatch):
    monkeypatch.setattr(folder, "MAX_PIXELS", 60_000)


def test_a_large_jpeg_is_decoded_at_a_fraction_of_its_size(small_limit, monkeypatch):
    content = jpeg(400, 320)
    reduced, found = folder.decode(content, "x.jpg", (20, 16))
    assert found == "400x320"
    monkeypatch.setattr(folder, "MAX_PIXELS", 1_000_000)
    whole, _ = folder.decode(content, "x.jpg", (20, 16))
    assert whole.std() > 40
    assert np.abs(reduced.astype(int) - whole.astype(int)).mean() <= 2
    assert not np.array_equal(reduced, whole)  # it was decoded in another way


def test_a_large_jpeg_on_its_side(small_limit):
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels, found = folder.decode(jpeg(400, 320, exif=exif), "x.jpg", (16, 20))
    assert (pixels.shape, found) == ((20, 16, 3), "320x400")


def test_a_large_progressive_jpeg_is_refused(small_limit):
    """The decoder would hold all of it in memory."""
    for content in (jpeg(400, 320, progressive=True), jpeg(400, 320)[:100]):
        with pytest.raises(Unreadable, match=r"128,000 pixels|Truncated"):
            folder.decode(content, "x.jpg", 8)
    assert folder.decode(jpeg(200, 100, progressive=True), "x.jpg", 8)[0].shape == (8, 8, 3)
    assert not folder._by_rows(b"\xff\xd8\xff\xc0")
    assert not folder._by_rows(b"")
