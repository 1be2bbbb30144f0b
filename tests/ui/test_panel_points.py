"""The panel of a GAN of points in a browser."""

import pytest

import rlgen
from tests.ui.test_panel_models import answered, opened

pytestmark = pytest.mark.slow  # seconds each in Chromium; the actions behind the panel have tests of their own


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a GAN of points, hardly trained."""
    runs = tmp_path_factory.mktemp("runs")
    rlgen.train("gan", "ring", runs=runs, name="ring", budget=512, eval_every=256, threads=1, progress=False)
    return runs


def test_points_and_field_follow_the_common_time(trained, open_page):
    page = opened(open_page, trained, "points", "ring")
    answered(page, "after 512 points of training")
    assert "of 8 modes covered" in page.text(".panel [role=status]")
    page.js("rlgen.view.follow(false, 0)")
    answered(page, "after 0 points of training")
    assert page.js("return document.querySelector('canvas.plane').ariaLabel") == page.text(".panel [role=status]")
    before = page.js("return document.querySelector('canvas.plane').toDataURL()")
    page.click(".panel input[type=checkbox]")  # without the field
    assert page.js("return document.querySelector('canvas.plane').toDataURL()") != before
