import numpy as np
import pytest
import torch
from PIL import Image

from rlgen.core.errors import StorageError, UserError
from rlgen.core.images import Grid
from rlgen.report.pictures import BAR, GAP, caption, draw, evolution, gif, tiles, write_grid, write_png


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def frames_of(path):
    """Every frame in RGB, and for how many milliseconds it is shown."""
    with Image.open(path) as image:
        frames = []
        for i in range(image.n_frames):
            image.seek(i)
            frames.append((np.asarray(image.convert("RGB")), image.info["duration"]))
        return frames


@pytest.mark.parametrize("shape", [(10, 28, 20), (10, 28, 20, 3)])
def test_every_image_is_in_its_cell(shape):
    images = noise(*shape)
    picture = tiles(images, columns=4)
    zoom = picture.shape[1] // (4 * 22 + 2)
    assert picture.shape[:2] == (zoom * (3 * 30 + 2), zoom * (4 * 22 + 2))
    assert picture.shape[1] >= 480
    small = picture[::zoom, ::zoom]
    for i, image in enumerate(images):
        y, x = 2 + i // 4 * 30, 2 + i % 4 * 22
        assert (small[y : y + 28, x : x + 20] == image).all()
    assert (small[62:, 46:] == GAP).all()  # the last two cells are free


def test_few_images_have_no_empty_columns_and_large_ones_are_not_enlarged():
    assert tiles(noise(3, 64, 64), columns=8).shape == (3 * 68, 3 * (3 * 66 + 2))
    assert tiles(noise(8, 64, 64), columns=8).shape == (68, 8 * 66 + 2)
    with pytest.raises(ValueError, match="no images"):
        tiles(noise(0, 8, 8))


CELL = 12 * (8 + 2)  # pixels of an image of 8, enlarged twelve times


def grid(n=16, columns=4, channels=1, side=8, value=None, **captions):
    images = torch.from_numpy(noise(n, channels, side, side)) / 255 if value is None else None
    images = torch.full((n, channels, side, side), float(value)) if images is None else images
    return Grid(images, columns, **captions)


def ink(picture):
    return int((picture > 150).sum())


@pytest.mark.parametrize("channels", [1, 3])
def test_captions_stand_around_the_images_and_leave_them_as_they_are(channels):
    bare = grid(channels=channels, value=0.2)
    picture = draw(bare)
    assert ink(picture) == 0
    titled = draw(bare._replace(title="samples"))
    stepped = draw(bare._replace(title="samples"), step="1,000 images")
    named = draw(bare._replace(column_labels=("a", "b", "c", "d")))
    rows = draw(bare._replace(row_labels=("image", "rebuilt")))
    height, width = picture.shape[:2]
    assert titled.shape[0] > height
    assert (titled[-height:] == picture).all()
    assert 0 < ink(titled[:-height]) < ink(stepped[:-height])
    assert (named[-height:] == picture).all()
    assert rows.shape[0] == height
    assert (rows[:, -width:] == picture).all()
    every = draw(bare._replace(title="t", row_labels=("image", "rebuilt"), column_labels=("a", "", "c", "d")), "s")
    assert (every[-height:, -width:] == picture).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_every_image_stands_above_its_own_caption(channels):
    picture = draw(grid(4, 2, channels, value=0.0, captions=("W", "", "", "W\nW")))
    if channels == 3:
        picture = picture[..., 0]
    height, width = (len(picture) - 2) // 2, (picture.shape[1] - 2) // 2
    side = width - 2
    assert side >= 112
    cells = [picture[2 + y * height :, 2 + x * width :][: height - 2, :side] for y in (0, 1) for x in (0, 1)]
    assert all((cell[:side] == 0).all() for cell in cells)
    one, empty, other, two = (ink(cell[side:]) for cell in cells)
    assert 0 == empty == other < one < two


def test_captions_grow_with_the_images_and_long_ones_are_cut():
    words = ("a long caption of one image", "", "", "")
    once, twice = (draw(grid(4, 4, value=0.0, captions=words), scale=scale) for scale in (1, 2))
    assert twice.shape[1] == pytest.approx(2 * once.shape[1], abs=2 * 5)
    assert ink(once[:, once.shape[1] // 4 + 2 :]) == 0, "a caption ends where its image ends"


def test_labels_stand_beside_their_own_rows_and_above_their_own_columns():
    bare, height, width = grid(value=0.0), CELL, CELL
    assert draw(bare).shape == (4 * CELL + 24, 4 * CELL + 24)
    picture = draw(bare._replace(row_labels=("wide", "")))
    gutter = picture[:, : picture.shape[1] - 4 * width - 24]
    shown = [ink(gutter[i * height : (i + 1) * height]) > 0 for i in range(4)]
    assert shown == [True, False, True, False]  # labels take turns
    top = draw(bare._replace(column_labels=("", "b", "", "")))[: -4 * height - 24]
    assert [ink(top[:, i * width : (i + 1) * width]) > 0 for i in range(4)] == [False, True, False, False]


def test_long_labels_shrink_or_are_cut_and_never_touch_their_neighbours():
    bare, height, width = grid(value=0.0), CELL, CELL
    for label in ("a name that fits", "a name that is much too long for any column " * 3):
        top = draw(bare._replace(column_labels=("", label, "", "")))[: -4 * height - 24]
        left, right = width + 12, 2 * width + 12  # between two gaps
        assert ink(top[:, left:right]) > 0
        assert ink(top[:, :left]) == ink(top[:, right:]) == 0


def test_scale_enlarges_images_and_letters():
    captions = {"title": "samples", "row_labels": ("image",), "column_labels": ("a",) * 4}
    one, two = draw(grid(**captions)), draw(grid(**captions), scale=2)
    assert two.shape[0] == pytest.approx(2 * one.shape[0], abs=4)
    assert two.shape[1] == pytest.approx(2 * one.shape[1], abs=4)


def test_a_last_row_may_be_short():
    picture = draw(grid(n=6))
    assert (picture[-20:, -20:] == GAP).all()


@pytest.mark.parametrize("shape", [(30, 40), (30, 40, 3)])
def test_a_png_comes_back_as_it_was_and_leaves_nothing_beside_it(tmp_path, shape):
    write_png(noise(*shape), tmp_path / "new" / "a.png")
    with Image.open(tmp_path / "new" / "a.png") as image:
        assert (np.asarray(image) == noise(*shape)).all()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]


def test_a_failed_write_leaves_the_old_picture(tmp_path):
    write_png(noise(8, 8), tmp_path / "a.png")
    old = (tmp_path / "a.png").read_bytes()
    with pytest.raises(TypeError):
        write_png(noise(8, 8).astype(complex), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == old
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(StorageError, match="cannot write"):
        write_png(noise(8, 8), tmp_path / "a.png" / "b.png")


@pytest.mark.parametrize("shape", [(12, 16), (12, 16, 3)])
def test_a_gif_has_the_frames_and_their_times(tmp_path, shape):
    frames = [noise(*shape, seed=i) for i in range(5)]
    gif(iter(frames), tmp_path / "a.gif", fps=10, hold=1.5)
    back = frames_of(tmp_path / "a.gif")
    assert [duration for _, duration in back] == [100, 100, 100, 100, 1600]
    if len(shape) == 2:
        assert all((shown[..., 0] == frame).all() for frame, (shown, _) in zip(frames, back, strict=True))
    with Image.open(tmp_path / "a.gif") as image:
        assert image.info["loop"] == 0


def test_many_colours_come_close(tmp_path):
    ramp = np.indices((128, 128)).sum(0).astype(np.uint8)
    frames = [np.stack([ramp, np.roll(ramp, 9 * i, 0), np.full_like(ramp, 40 * i)], axis=-1) for i in range(3)]
    gif(frames, tmp_path / "a.gif")
    for frame, (shown, _) in zip(frames, frames_of(tmp_path / "a.gif"), strict=True):
        assert np.abs(frame.astype(int) - shown).mean() < 12


def test_no_player_slows_down_a_fast_gif(tmp_path):
    gif([noise(8, 8, seed=i) for i in range(3)], tmp_path / "a.gif", fps=1000)
    assert {duration for _, duration in frames_of(tmp_path / "a.gif")} == {20}


def test_frames_that_make_no_animation(tmp_path):
    with pytest.raises(ValueError, match="no frames"):
        gif([], tmp_path / "a.gif")
    with pytest.raises(ValueError, match="differ in size"):
        gif([noise(8, 8), noise(8, 9)], tmp_path / "a.gif")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [(400, 600, 3), (400, 600)])
def test_a_caption_is_below_the_frame_and_within_it(shape):
    frame = noise(*shape)
    short, long = caption(frame, "return 500 · ε = 0.05"), caption(frame, "return 500 " * 30)
    assert (short[:400] == frame).all()
    assert short.shape == long.shape
    assert short.shape[1:] == shape[1:]
    for bar in (short[400:], long[400:]):
        assert bar.max() > 180  # ink
        assert (bar[:, :3] == BAR).all()
        assert (bar[:, -3:] == BAR).all()
    assert (caption(frame, "ε") != caption(frame, "γ")).any()  # both are in the font


def test_small_frames_are_enlarged_so_that_captions_are_legible():
    frame = noise(80, 100, 3)
    picture = caption(frame, "episode 1   step 12   return -3.5")
    assert picture.shape[1] == 400
    assert (picture[:320] == frame.repeat(4, 0).repeat(4, 1)).all()


@pytest.fixture
def samples(tmp_path):
    """Grids whose cells are as bright as their time: untrained, then 1000 to 60,000 images."""
    for i in range(61):
        step = f"{1000 * i:,} images" if i else "untrained"
        captions = {"title": "samples", "column_labels": ("a", "b", "c", "d"), "row_labels": ("x", "y")}
        write_grid(grid(value=4 * i / 255, **captions), tmp_path / "samples" / f"{1000 * i:09d}.png", step)
    write_png(noise(8, 8), tmp_path / "samples" / "latest.png")
    return tmp_path / "samples"


def read(path):
    with Image.open(path) as image:
        return np.asarray(image)


def rows_of(picture):
    """Brightness / 4 down the middle of the last column, one number per row of images."""
    values = picture[:, picture.shape[1] - 60].tolist()
    return [
        value // 4 for i, value in enumerate(values) if value not in (GAP, BAR) and (not i or values[i - 1] != value)
    ]


def test_evolution_shows_first_and_last_and_more_of_the_beginning(samples, tmp_path):
    evolution(samples, tmp_path / "all.png", tmp_path / "all.gif")
    picture = read(tmp_path / "all.png")
    shown = rows_of(picture)
    assert shown[0] == 0
    assert shown[-1] == 60
    assert len(shown) == 8
    assert sum(value <= 10 for value in shown) > len(shown) / 2
    assert ink(picture[:, :100]) > 100  # labels
    first = read(samples / "000000000.png")
    frames = frames_of(tmp_path / "all.gif")
    assert (frames[0][0][..., 0] == first).all()  # with its captions
    assert len(frames) == 60
    assert [duration for _, duration in frames[-2:]] == [200, 2200]


def test_evolution_of_a_long_run_is_thinned(samples, tmp_path):
    for i in range(61, 200):
        write_grid(grid(value=i / 255, title="samples"), samples / f"{1000 * i:09d}.png")
    for i in range(61):
        write_grid(grid(value=4 * i / 255, title="samples"), samples / f"{1000 * i:09d}.png")
    evolution(samples, tmp_path / "all.png", tmp_path / "all.gif")
    assert len(frames_of(tmp_path / "all.gif")) == 60


def test_grids_of_earlier_versions_have_no_layout_and_get_their_time(tmp_path):
    for time in (0, 500, 2000):
        write_png(tiles(noise(16, 8, 8, 3, seed=time), columns=4), tmp_path / "samples" / f"{time:09d}.png")
    evolution(tmp_path / "samples", tmp_path / "all.png", tmp_path / "all.gif", columns=4)
    height = read(tmp_path / "samples" / "000000500.png").shape[0]
    frame = frames_of(tmp_path / "all.gif")[0][0]
    assert frame.shape[0] > height
    assert ink(frame[: frame.shape[0] - height]) > 0
    assert read(tmp_path / "all.png").ndim == 3
    with pytest.raises(UserError, match="elsewhere has no samples yet"):
        evolution(tmp_path / "elsewhere", tmp_path / "all.png", tmp_path / "all.gif")
