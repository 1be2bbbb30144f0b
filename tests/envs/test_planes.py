"""Planes through observations: their cells, axes, and how observations are counted in them."""

import numpy as np
import pytest

from rlgen.core.errors import UserError
from rlgen.envs import VectorEnv
from rlgen.envs.planes import Coordinates, Plane, Range
from tests.envs import toy_environments  # noqa: F401  # registers its environments


def coordinates(task, **options):
    return Coordinates(VectorEnv(task, 1, 0, **options))


def test_places_of_a_grid_world_are_rows_and_columns_of_its_map():
    grid = coordinates("GridWorld")
    inner = grid.env.environments.envs[0].unwrapped
    assert [number.name for number in grid.described] == ["row", "column"]
    for number, place in enumerate(inner.places):
        observation = grid.write(place)
        assert observation.argmax() == number
        assert tuple(grid.read(observation)) == place
    assert grid.write([0, 3]) is None  # a wall
    assert grid.marks[0, 0] == "S"
    assert grid.marks[5, 7] == "G"
    assert (1, 0) not in grid.marks  # a plain tile
    for outside in ([6, 0], [0, 8], [-1, 0]):
        with pytest.raises(UserError, match="not on the map"):
            grid.write(outside)


def test_marks_of_a_lake_are_the_letters_of_its_map():
    lake = coordinates("FrozenLake")
    assert lake.marks == {(0, 0): "S", (1, 1): "H", (1, 3): "H", (2, 3): "H", (3, 0): "H", (3, 3): "G"}
    assert lake.axes() == (1, 0)


@pytest.mark.parametrize(
    ("task", "axes"), [("CartPole", (2, 3)), ("MountainCar", (0, 1)), ("Taxi", (1, 0)), ("TestDiscrete", (0, 0))]
)
def test_the_axes_shown_first(task, axes):
    assert coordinates(task).axes() == axes


def test_cells_of_a_plane_of_real_numbers():
    pole = coordinates("CartPole")
    plane = Plane(pole, (2, 3), [1, 2, 3, 4], [Range(-1, 1, 5), Range(0, 3, 4)])
    assert plane.x.tolist() == [-1, -0.5, 0, 0.5, 1]
    assert plane.y.tolist() == [3, 2, 1, 0]  # the highest first, as in a plot
    cells = plane.observations.reshape(4, 5, 4)
    assert cells[0, 0].tolist() == [1, 2, -1, 3]
    assert cells[3, 4].tolist() == [1, 2, 1, 0]
    swapped = Plane(pole, (3, 2), [1, 2, 3, 4], [Range(0, 3, 4), Range(-1, 1, 5)])
    np.testing.assert_array_equal(swapped.observations.reshape(5, 4, 4)[::-1, ::-1].transpose(1, 0, 2), cells)


def test_walls_are_no_cells():
    grid = coordinates("GridWorld")
    plane = Plane(grid, (1, 0), [0, 0], [Range(0, 7, 9), Range(0, 5, 9)])
    assert plane.shape == (6, 8)
    numbers = plane.spread(plane.observations.argmax(1))
    assert np.isnan(numbers[0, 3])
    assert np.isnan(numbers).sum() == 48 - len(grid.places)
    assert [numbers[place] for place in grid.places] == list(range(len(grid.places)))


def test_observations_are_counted_in_the_nearest_cell():
    lake = coordinates("FrozenLake")
    plane = Plane(lake, (1, 0), [0, 0], [Range(0, 3, 9), Range(0, 3, 9)])
    rows = np.eye(16, dtype=np.float32)[[0, 0, 5, 14]]
    expected = np.zeros((4, 4))
    expected[0, 0], expected[1, 1], expected[3, 2] = 2, 1, 1
    np.testing.assert_array_equal(plane.histogram(rows, [0, 0]), expected)

    pole = coordinates("CartPole")
    plane = Plane(pole, (0, 1), [0, 0, 0, 0], [Range(0, 2, 3), Range(0, 1, 2)])
    rows = np.array([[0.4, 0, 9, 9], [0.6, 0.4, 0, 0], [2.4, 1, 0, 0], [2.6, 1, 0, 0], [1, -0.6, 0, 0]], np.float32)
    np.testing.assert_array_equal(plane.histogram(rows, [0, 0, 0, 0]), [[0, 0, 1], [1, 1, 0]])


def test_of_other_discrete_numbers_only_those_of_the_plane_are_counted():
    taxi = coordinates("Taxi")
    observations = np.array([taxi.write(numbers) for numbers in ([1, 2, 0, 3], [1, 2, 4, 3], [1, 2, 0, 3])])
    plane = Plane(taxi, (1, 0), [0, 0, 0, 3], [Range(0, 4, 9), Range(0, 4, 9)])
    counts = plane.histogram(observations, [0, 0, 0, 3])
    assert counts[1, 2] == counts.sum() == 2


def test_typical_numbers_and_ranges_follow_from_observations():
    pole = coordinates("CartPole")
    rows = np.array([[0, 1, 0.1, -2], [0, 3, 0.2, 2], [3, 8, 0.3, 0]], np.float32)
    np.testing.assert_allclose(pole.typical(rows), [0, 3, 0.2, 0], rtol=1e-6)
    position, velocity = pole.ranges((0, 1), rows, 7)
    assert position == (pytest.approx(-4.8), pytest.approx(4.8), 7)  # the bounds of the space
    assert velocity == (4.5 - 5.25, 4.5 + 5.25, 7)
    taxi = coordinates("Taxi")
    rows = np.array([taxi.write(numbers) for numbers in ([1, 2, 4, 3], [1, 0, 4, 3], [2, 2, 0, 3])])
    assert taxi.typical(rows) == [1, 2, 4, 3]


def test_images_have_no_planes():
    with pytest.raises(UserError, match="are images"):
        coordinates("TestSmallImage")
