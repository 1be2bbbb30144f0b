"""The panel of explanations in a browser."""

import pytest

import rlgen
from tests.ui.test_panel_models import answered, opened

pytestmark = pytest.mark.slow  # seconds each in Chromium; the actions behind the panel have tests of their own


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a GAN, hardly trained."""
    runs = tmp_path_factory.mktemp("runs")
    small = {"budget": 64, "width": 4, "discriminator_width": 4, "size": 16, "threads": 1, "progress": False}
    rlgen.train("gan", "digits", runs=runs, name="gan", **small)
    return runs


def test_a_map_and_its_verdict_for_a_picture_and_a_method(trained, open_page):
    page = opened(open_page, trained, "explain", "gan")
    answered(page, "Saliency: ")
    assert page.texts(".panel select option")[:2] == ["discriminator", "features"]
    before = page.js("return document.querySelector('.panel canvas').toDataURL()")
    page.click(".panel .strip button:nth-child(3)")
    page.wait(lambda: page.js("return document.querySelector('.panel canvas').toDataURL()") != before, "another map")
    assert page.js("return document.querySelector('[aria-pressed=true] > img.pixels') !== null")
    page.js(
        "const s = document.querySelectorAll('.panel select')[1];"
        "s.value = 'occlusion'; s.dispatchEvent(new Event('change'))"
    )
    answered(page, "Occlusion: ")
    assert "Rank correlation with the maps of 3 networks of random weights" in page.text(".panel")
