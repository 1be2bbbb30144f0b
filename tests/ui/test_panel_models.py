"""The panels of generative models in a browser: latent plane, codes, pixels, discriminator, nearest training images."""

import pytest

import rlgen

pytestmark = pytest.mark.slow  # most of a minute; the actions behind the panels have tests of their own
TINY = {"budget": 64, "eval_every": 32, "batch": 8, "width": 4, "threads": 1, "progress": False}
PIXELS = {"levels": 1, "blocks": 2, "head_width": 6, "first_kernel": 3}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a short run of a small model for each panel."""
    runs = tmp_path_factory.mktemp("runs")
    rlgen.train("vae", "digits", runs=runs, name="vae", latent=3, depth=1, **TINY)
    rlgen.train("gan", "digits", runs=runs, name="gan", latent=2, size=8, discriminator_width=4, **TINY)
    rlgen.train("gated-pixelcnn", "digits", runs=runs, name="pixels", likelihood="bernoulli", **PIXELS, **TINY)
    rlgen.train("vqvae", "digits", runs=runs, name="vqvae", code_dim=3, prior_width=4, prior_blocks=1, **TINY)
    return runs


def opened(open_page, runs, panel, run):
    page = open_page(runs, f"runs={run}&open={panel}%40{run}")
    page.find(".panel")
    return page


def source(page, selector):
    return page.js("return document.querySelector(arguments[0])?.src || ''", selector)


def answered(page, text):
    """Wait for a line of the panel that holds `text`; the process of the panels imports torch first."""
    for _ in range(3):
        if page.js("return document.querySelector('.panel').textContent.includes(arguments[0])", text):
            return
        try:
            page.wait(lambda: text in page.text(".panel"), text)
            return
        except pytest.fail.Exception:
            continue
    pytest.fail(f"no {text!r} in {page.text('.panel')!r}")


def test_the_decoded_picture_follows_the_mouse_the_keys_and_the_sliders(open_page, trained):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    page = opened(open_page, trained, "latent", "vae")
    answered(page, "test images")
    decoded = ".panel .shown"
    pictures = [page.wait(lambda: source(page, decoded), "the picture")]

    def changed():
        now = source(page, decoded)
        return now != pictures[-1] and pictures.append(now) is None

    pad = page.find(".pad")
    page.js("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", pad)
    drag = ActionChains(page.driver, duration=0).move_to_element_with_offset(pad, 60, -60).click_and_hold()
    drag.move_by_offset(40, 30).release().perform()
    page.wait(changed, "the drag")
    pad.send_keys(Keys.SHIFT, Keys.ARROW_LEFT)
    page.wait(changed, "the arrow key")
    slider = page.find(".sliders input")
    before = slider.get_attribute("value")
    slider.send_keys(Keys.HOME)
    page.wait(changed, "the slider")
    assert slider.get_attribute("value") != before
    assert len(page.all(".sliders input")) == 3
    assert len(page.all(".panel .legend .entry")) == 10


def test_a_drawn_picture_is_encoded_and_shown_with_its_reconstruction(open_page, trained):
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select

    page = opened(open_page, trained, "latent", "vae")
    answered(page, "test images")
    Select(page.find(".panel .columns2 ~ .stack select")).select_by_value("picture")
    answered(page, "Squared error per pixel")  # of the empty board
    board = page.find(".board")
    shown = page.js("return document.querySelectorAll('.figures img')[0].src")
    board.send_keys(Keys.SPACE)
    page.wait(lambda: page.js("return document.querySelectorAll('.figures img')[0].src") != shown, "the stroke")
    assert len(page.all(".figures img")) == 2
    assert page.all(".crosshair.own")


def test_a_code_of_an_image_is_replaced_by_another_of_the_codebook(open_page, trained):
    page = opened(open_page, trained, "codes", "vqvae")
    answered(page, "Choose a place in the grid")
    assert len(page.all(".grid-of-codes .tile")) == 4
    page.click(".grid-of-codes .tile:nth-child(2)")
    page.click(".codebook .tile:not([aria-pressed=true])")
    answered(page, "1 of 4 codes changed")
    assert len(page.all(".figures img")) == 3


def test_a_pixel_has_a_distribution_and_a_field_and_an_image_is_completed(open_page, trained):
    from selenium.webdriver.common.keys import Keys

    page = opened(open_page, trained, "pixels", "pixels")
    answered(page, "Row 4, column 4")
    page.find(".pad").send_keys(Keys.ARROW_UP)
    answered(page, "Row 3, column 4")
    text = page.text(".panel [role=status]")
    assert "probability" in text
    assert "nats" in text
    assert "no blind spot" in text
    page.js("[...document.querySelectorAll('.panel button')].find(b => b.textContent === 'Complete').click()")
    answered(page, "Four completions of the kept pixels, seed 0")
    assert len(page.all(".figures img")) == 4


def test_the_discriminator_classifies_samples_of_each_time(open_page, trained):
    page = opened(open_page, trained, "opinion", "gan")
    answered(page, "At 64 images")
    page.find(".tile")
    assert len(page.all(".tile")) == 128
    before = page.js("return document.querySelector('.tile img').src")
    page.js("rlgen.view.follow(false, 0)")
    answered(page, "At 0 images")
    page.wait(lambda: page.js("return document.querySelector('.tile img').src") != before, "the samples of time 0")
    page.click(".tile:nth-child(3)")
    answered(page, "Chosen sample 2")
    assert page.find(".tile[aria-pressed=true]").get_attribute("aria-label").startswith("Sample 2")


def test_a_click_on_a_sample_finds_the_training_images_nearest_to_it(open_page, trained):
    page = opened(open_page, trained, "nearest", "gan")
    answered(page, "percentile")
    assert len(page.all(".figures img")) == 6
    first = page.js("return document.querySelector('.figures img').src")
    page.click(".tile:nth-child(5)")
    page.wait(lambda: page.js("return document.querySelector('.figures img').src") != first, "another sample")
    assert "1,498 training images" in page.text(".panel [role=status]")
