import numpy as np
import pytest

from rlgen.report.half_blocks import cells, lines
from rlgen.report.saved_grids import Layout


def grid(count=4, side=28, gap=2, top=10, left=5, channels=()):
    """Images of one grey each, 10, 20, 30, ... in a row of two rows, with a caption above."""
    step = side + gap
    picture = np.full((top + 2 * step + gap, left + count * step + gap, *channels), 255, np.uint8)
    for i in range(2):
        for j in range(count):
            y, x = top + gap + i * step, left + gap + j * step
            picture[y : y + side, x : x + side] = 10 * (1 + j + count * i)
    return picture, Layout(top, left, step, step, gap)


def test_the_first_images_are_cut_out_of_their_frames():
    picture, layout = grid()
    found = cells(picture, layout, 33, 8, 16)
    assert found.shape == (16, 33)
    assert (found[:, :16] == 10).all()
    assert (found[:, 17:] == 20).all()
    assert (found[:, 16] == 0).all()


def test_a_second_row_where_there_is_room():
    picture, layout = grid()
    found = cells(picture, layout, 200, 18, 16)
    assert found.shape == (16 + 2 + 16, 4 * 17 - 1)
    assert (found[18:, :16] == 50).all()


@pytest.mark.parametrize("width", [1, 3, 10, 79])
def test_nothing_is_wider_than_the_terminal(width):
    picture, layout = grid(channels=(3,))
    for line in lines(cells(picture, layout, width, 9)):
        assert len(line.plain) <= width


def test_two_pixels_share_a_character():
    (line,) = lines(np.array([[[255, 0, 0]], [[0, 0, 255]]], np.uint8))
    assert line.plain == "▀"
    style = str(line.spans[0].style)
    assert "255,0,0" in style
    assert "on rgb(0,0,255)" in style


def test_without_colours_greys_are_shades():
    pixels = np.repeat(np.array([[0, 60, 120, 180, 255]], np.uint8), 2, 0)
    assert lines(pixels, colour=False)[0].plain == " ░▒▓█"
    ascii_ = lines(pixels, colour=False, unicode=False)[0].plain
    assert ascii_[0] == " "
    assert ascii_[-1] == "@"
    assert ascii_.isascii()
