"""The panels of agents in the browser: episodes frame by frame, episodes that a person plays, changed observations."""

import json
from urllib.parse import quote

import numpy as np
import pytest

import rlgen
from rlgen.core import portraits
from tests.ui import browser as chrome

pytest.importorskip("selenium", reason="needs selenium: pip install 'rlgen[test]'")
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

pytestmark = pytest.mark.slow  # a minute in all; the actions behind the panels have tests of their own
SMALL = {"width": 8, "depth": 1, "batch": 8, "learning_starts": 50, "final_episodes": 1, "eval_episodes": 1}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A table for FrozenLake of several ages, and networks that are hardly trained for Catch and CartPole."""
    folder = tmp_path_factory.mktemp("runs")
    lake = {"budget": 800, "eval_every": 400, "eval_episodes": 1, "final_episodes": 1}
    rlgen.train("qlearning", "FrozenLake", runs=folder, name="lake", progress=False, **lake)
    rlgen.train("dqn", "Catch", runs=folder, name="catch", progress=False, budget=60, **SMALL)
    rlgen.train("dqn", "CartPole", runs=folder, name="cart", progress=False, budget=60, **SMALL)
    return folder


@pytest.fixture(autouse=True)
def _patience(monkeypatch):
    monkeypatch.setattr(chrome, "SECONDS", 60)  # the first action loads torch


def opened(open_page, runs, panel, run):
    return open_page(runs, f"runs={run}&open={quote(f'{panel}@{run}')}")


def choose(page, selector, value):
    """Set a control, as a person does."""
    script = """
        const [selector, value] = arguments;
        const control = document.querySelector(selector);
        control.value = value;
        for (const name of ["input", "change"]) control.dispatchEvent(new Event(name));
    """
    page.js(script, selector, value)


def loaded(page):
    page.find(".thinking .age")
    page.wait(lambda: page.js("return !document.querySelector('.ages').dataset.loading"), "all frames")


def test_an_episode_is_scrubbed_by_slider_and_keys_and_ages_stand_side_by_side(open_page, runs):
    page = opened(open_page, runs, "thinking", "lake")
    loaded(page)
    step = lambda: int(page.js("return document.querySelector('.thinking').dataset.step"))  # noqa: E731
    shown = lambda: page.js("return document.querySelector('.age img').src")  # noqa: E731
    first = shown()
    assert first.startswith("data:image/png")
    page.js("document.querySelector('.thinking').focus()")
    page.press(Keys.ARROW_RIGHT)
    assert step() == 1
    page.press(Keys.END)
    end = step()
    assert end == int(page.js("return document.querySelector('.scrub input').max")) >= 2
    assert shown() != first
    page.press(Keys.HOME)
    assert step() == 0
    q = json.loads(page.js("return document.querySelector('.age canvas.values').dataset.q"))
    assert len(q) == 4
    assert "left" in page.js("return document.querySelector('.age canvas.values').getAttribute('aria-label')")
    choose(page, ".scrub input", "2")
    assert step() == 2
    page.press(Keys.HOME, " ")  # plays to the end, and stops
    page.wait(lambda: step() == end, "the end of the film")
    ages = len(portraits.times(runs / "lake"))
    assert ages >= 2
    page.js(
        "const s = document.querySelector('select[name=ages]'); s.value = '2'; s.dispatchEvent(new Event('change'))"
    )
    page.wait(lambda: len(page.all(".thinking .age")) == 2, "two ages")
    loaded(page)
    assert page.texts(".age p")[0].startswith("after 0 steps")


def test_a_person_takes_over_and_hands_back(open_page, runs):
    page = opened(open_page, runs, "takeover", "lake")
    step = lambda: page.js("return document.querySelector('.arena').dataset.step")  # noqa: E731
    page.js("document.querySelector('.arena').focus()")
    page.press(Keys.ENTER)
    page.find(".arena img")
    assert step() == "0"
    agent = rlgen.load(runs / "lake")
    page.press(Keys.ARROW_LEFT)
    page.wait(lambda: step() == "1", "a step by an arrow")
    assert page.text(".regret").startswith("left: regret max Q − Q(a) = ")
    assert "in 1 of your actions" in page.text(".regret")
    start = agent.values(np.eye(16, dtype=np.float32)[0])
    lost = float(page.text(".regret").split("= ")[1].split(" ")[0])
    assert lost == pytest.approx(float(start.q.max() - start.q[0]), rel=1e-3, abs=1e-9)
    assert [e.text for e in page.all(".takeover .keys kbd")][:2] == ["1", "←"]
    page.press("a")
    page.wait(lambda: step() == "2", "a step of the agent")
    assert page.text(".regret").startswith("the agent: ")
    page.press("h")  # to its end
    page.wait(lambda: "The episode is over" in page.text(".takeover"), "the end of the episode")
    assert len(page.all(".scores tbody tr")) == 2


def test_an_environment_in_real_time_runs_until_it_is_paused(open_page, runs):
    page = opened(open_page, runs, "takeover", "catch")
    step = lambda: int(page.js("return document.querySelector('.arena').dataset.step"))  # noqa: E731
    page.js("document.querySelector('.arena').focus()")
    page.press(Keys.ENTER)
    page.find(".arena img")
    page.press(Keys.ARROW_LEFT)
    page.wait(lambda: step() >= 3, "three steps")
    page.press("p")
    page.wait(lambda: any(e.text == "Go on (P)" for e in page.all(".takeover button")), "the pause")
    assert "without a key: stay" in page.text(".takeover .keys")
    before = step()
    page.click(".takeover .keys button")  # an action without a keyboard
    page.wait(lambda: step() > before, "a step by a button")


def test_numbers_of_an_observation_move_the_bars(open_page, runs):
    page = opened(open_page, runs, "whatif", "cart")
    asked = lambda: int(page.js("return document.querySelector('.whatif')?.dataset.asked || 0"))  # noqa: E731
    page.wait(asked, "the first answer")
    q = "return document.querySelectorAll('.whatif canvas.values')[arguments[0]].dataset.q"
    first = [json.loads(page.js(q, place)) for place in (0, 1)]
    np.testing.assert_allclose(*first, rtol=1e-3, atol=1e-5)  # numbers travel with five digits
    choose(page, ".drags > :nth-child(3) input", "0.3")
    page.wait(lambda: abs(json.loads(page.js(q, 1))[1] - first[1][1]) > 3e-3, "other values")
    agent = rlgen.load(runs / "cart")
    sliders = page.js("return [...document.querySelectorAll('.drag input')].map(s => Number(s.value))")
    expected = agent.values(np.array(sliders, np.float32)).q
    np.testing.assert_allclose(json.loads(page.js(q, 1)), expected, rtol=1e-3, atol=1e-4)
    assert page.texts(".drags .control > span:first-child")[0] == "cart position (m)"


def test_pixels_are_covered_by_mouse_and_keys(open_page, runs):
    page = opened(open_page, runs, "whatif", "catch")
    page.wait(lambda: page.js("return document.querySelector('.whatif')?.dataset.asked"), "the first answer")
    board = page.find(".cover canvas")
    page.js("arguments[0].scrollIntoView({block: 'center'})", board)
    covered = lambda: int(page.js("return document.querySelector('.cover canvas').dataset.covered || 0"))  # noqa: E731
    picture = page.js("return document.querySelector('.cover img').src")
    page.js(
        "const s = document.querySelector('.whatif select'); s.value = 'black'; s.dispatchEvent(new Event('change'))"
    )
    ActionChains(page.driver).move_to_element_with_offset(board, -140, 130).click_and_hold().move_by_offset(
        280, 0
    ).release().perform()
    assert covered() >= 2
    before = covered()
    board.send_keys(Keys.ARROW_UP, " ")
    assert covered() == before + 1
    page.press(Keys.ESCAPE)
    page.wait(lambda: page.js("return document.querySelector('.cover img').src") == picture, "the whole image")
