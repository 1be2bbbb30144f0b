import torch

from rlgen.generative.gan import plane


def test_the_lattice_runs_row_by_row_from_the_upper_left():
    assert plane.lattice(2.0, 2).tolist() == [[-1, 1], [1, 1], [-1, -1], [1, -1]]


def test_a_point_is_drawn_where_the_lattice_has_it():
    where = plane.lattice(1.5, plane.PIXELS // 2)  # a pixel of this lattice is one dot
    picture = torch.ones(3, plane.PIXELS, plane.PIXELS)
    plane.dots(picture, where[[7]], 1.5, (1.0, 0.0, 0.0))
    red = (picture[1] == 0).nonzero().tolist()
    assert red == [[0, 14], [0, 15], [1, 14], [1, 15]]


def test_points_outside_of_the_square_are_left_out():
    picture = torch.ones(3, plane.PIXELS, plane.PIXELS)
    plane.dots(picture, torch.tensor([[5.0, 0.0], [0.0, -1.6], [1.51, 1.51]]), 1.5, plane.BLACK)
    assert (picture == 1).all()


def test_generated_points_lie_over_the_data():
    same = torch.zeros(1, 2)
    picture = plane.scatter(same, same, 1.0)
    middle = picture[:, plane.PIXELS // 2, plane.PIXELS // 2]
    assert torch.equal(middle, torch.tensor(plane.ORANGE))


def test_a_field_is_blue_below_the_threshold_and_red_above():
    logits = torch.tensor([[0.0, 0.5, 2.0]])
    scaled = plane.relative(logits, 0.5)
    assert torch.allclose(scaled, torch.tensor([[-1 / 3, 0.0, 1.0]]))
    picture = plane.colours(scaled)
    assert picture[2, 0, 0] > picture[0, 0, 0]  # more blue than red
    assert (picture[:, 0, 1] == 1).all()
    assert torch.allclose(picture[:, 0, 2], torch.tensor(plane.RED))
    assert plane.relative(logits + 7, None)[0, 1] == 0  # the median
