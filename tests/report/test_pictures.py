import numpy as np
import pytest
from PIL import Image

from rlgen.core.errors import StorageError, UserError
from rlgen.report.pictures import BAR, GAP, caption, evolution, gif, grid, write_png


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
    picture = grid(images, columns=4, padding=1)
    scale = picture.shape[1] // (4 * 21 + 1)
    assert picture.shape[:2] == (scale * (3 * 29 + 1), scale * (4 * 21 + 1))
    assert picture.shape[1] >= 400
    small = picture[::scale, ::scale]
    for i, image in enumerate(images):
        y, x = 1 + i // 4 * 29, 1 + i % 4 * 21
        assert (small[y : y + 28, x : x + 20] == image).all()
    assert (small[59:, 43:] == GAP).all()  # the last two cells are free


def test_few_images_have_no_empty_columns_and_large_ones_are_not_enlarged():
    assert grid(noise(3, 64, 64), columns=8, padding=0).shape == (64 * 3, 64 * 3 * 3)
    assert grid(noise(8, 64, 64), columns=8, padding=0).shape == (64, 512)
    with pytest.raises(ValueError, match="no images"):
        grid(noise(0, 8, 8))


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


@pytest.fixture
def samples(tmp_path):
    """Grids whose cells are as bright as their time, 1000 to 60,000."""
    for i in range(1, 61):
        write_png(grid(np.full((16, 8, 8), 4 * i, np.uint8), columns=4), tmp_path / "samples" / f"{1000 * i:09d}.png")
    write_png(noise(8, 8), tmp_path / "samples" / "latest.png")
    return tmp_path / "samples"


def test_evolution_shows_first_and_last_and_more_of_the_beginning(samples, tmp_path):
    evolution(samples, tmp_path / "all.png", tmp_path / "all.gif", columns=4)
    with Image.open(tmp_path / "all.png") as image:
        picture = np.asarray(image)
    with Image.open(samples / "000001000.png") as image:
        width, height = image.size
    assert picture.shape[1] == width + 64
    brightness = picture[:, 64 + width // 8]  # down the middle of the first column
    shown = [value // 4 for value in dict.fromkeys(brightness.tolist()) if value != GAP]
    assert shown[0] == 1
    assert shown[-1] == 60
    assert sum(value <= 10 for value in shown) > len(shown) / 2
    frames = frames_of(tmp_path / "all.gif")
    assert len(frames) == 60
    assert [duration for _, duration in frames[-2:]] == [200, 2200]
    assert frames[0][0].shape[0] > height  # the caption


def test_evolution_of_a_long_run_is_thinned(samples, tmp_path):
    for i in range(61, 200):
        write_png(grid(np.full((16, 8, 8), i, np.uint8), columns=4), samples / f"{1000 * i:09d}.png")
    evolution(samples, tmp_path / "all.png", tmp_path / "all.gif", columns=4)
    assert len(frames_of(tmp_path / "all.gif")) == 60


def test_evolution_of_colours_and_of_nothing(tmp_path):
    for time in (500, 2000):
        write_png(grid(noise(16, 8, 8, 3, seed=time), columns=4), tmp_path / "samples" / f"{time:09d}.png")
    evolution(tmp_path / "samples", tmp_path / "all.png", tmp_path / "all.gif", columns=4)
    with Image.open(tmp_path / "all.png") as image:
        assert image.mode == "RGB"
    with pytest.raises(UserError, match="elsewhere has no samples yet"):
        evolution(tmp_path / "elsewhere", tmp_path / "all.png", tmp_path / "all.gif")
