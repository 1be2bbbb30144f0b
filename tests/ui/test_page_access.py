"""The page by keyboard alone, in light and dark, on a phone and in print."""

import base64
import re

import pytest

from tests.ui.runs_to_show import agent, model, ramp

TAB, SPACE, ESCAPE, ENTER, DOWN = "\ue004", "\ue00d", "\ue00c", "\ue007", "\ue015"
OVERFLOW = """return [...document.querySelectorAll('body *')].filter(e => {
  const r = e.getBoundingClientRect();
  return r.width && r.right > innerWidth + 1 && getComputedStyle(e).position !== 'absolute'
    && !e.closest('.scroll, nav, .u-wrap, table');
}).map(e => e.tagName + '.' + e.className).slice(0, 5)"""
CONTRAST = """
const rgb = name => [1, 3, 5].map(i => parseInt(rlgen.colors[name].slice(i, i + 2), 16) / 255);
const light = name => rgb(name).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const [a, b] = [light(arguments[0]), light(arguments[1])];
return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
"""


@pytest.fixture
def page(open_page, runs):
    model(runs, "model", [0, 100, 200], result={"nats": 30.0})
    agent(runs, "first", ramp(seeds=4), seeds=4, result={"score": 1.0, "ci95": [0.5, 1.5]})
    agent(runs, "second-with-a-name-that-is-longer-than-a-phone-is-wide-and-has-no-spaces", ramp(), seed=1)
    return open_page(runs)


def test_from_start_to_end_by_keyboard(page):
    page.press(TAB)
    assert page.focus() == "Skip to the content"
    page.press(ENTER)
    assert page.focus() == "main"
    page.press("?")
    assert page.find("#help").is_displayed()
    page.press(ESCAPE)
    assert not page.all("#help")
    page.press("/")
    assert page.focus() == "filter"
    page.press("m", "o", "d", "e", "l", TAB, TAB)
    assert page.js("return document.querySelectorAll('table.runs tbody tr').length") == 1
    for _ in range(10):
        if page.focus().startswith("run-"):
            break
        page.press(TAB)
    page.press(SPACE)
    page.wait(lambda: page.all(".film img"), "its pictures")
    page.press("/", ESCAPE)
    page.press("2")
    assert page.focus() == "pictures-title"
    page.press("[")
    assert page.js("return rlgen.view.time") < page.js("return rlgen.view.end")
    page.press("]")
    assert page.js("return rlgen.view.time") == page.js("return rlgen.view.end")
    before = page.js("return rlgen.view.theme()")
    page.press("t")
    assert page.js("return rlgen.view.theme()") != before
    page.press("w")
    assert page.find("td.in-duration, td.in-seconds").is_displayed()


def test_the_focus_goes_everywhere_and_is_visible(page):
    seen = set()
    for _ in range(120):
        page.press(TAB)
        identity, visible, named = page.js(
            "const e = document.activeElement, s = getComputedStyle(e);"
            "return [e.id || e.className + e.textContent, s.outlineStyle !== 'none' || e === document.body,"
            "e === document.body || Boolean(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length)]"
        )
        assert visible, identity
        assert named, identity
        seen.add(identity)
        if len(seen) > 10 and page.js("return document.activeElement === document.body"):
            break
    assert {"filter", "x", "scale", "smoothing", "band", "group", "time", "theme", "keys", "focus"} <= seen


@pytest.mark.slow
def test_rows_are_reached_by_arrows(page):
    page.js("document.querySelector('table.runs tbody input').focus()")
    first = page.focus()
    page.press(DOWN)
    assert page.focus() != first
    assert page.focus().startswith("run-")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_is_legible_in_both_themes(page, theme):
    page.theme(theme)
    page.wait(lambda: page.js("return rlgen.view.theme()") == theme, theme)
    for color, least in (
        ("ink", 7),
        ("faint", 4.5),
        ("accent", 4.5),
        ("good", 4.5),
        ("bad", 4.5),
        *((f"c{i}", 2.9) for i in range(8)),
    ):
        for ground in ("card", "paper"):
            assert page.js(CONTRAST, color, ground) >= least, (color, ground)
    assert page.js("return getComputedStyle(document.documentElement).colorScheme") == theme


@pytest.mark.slow
def test_the_chosen_theme_is_kept(page):
    page.click("#theme")
    assert page.js("return rlgen.view.theme()") == "dark"
    page.driver.refresh()
    page.wait(lambda: page.js("return document.body.classList.contains('ready')"), "the page")
    assert page.js("return rlgen.view.theme()") == "dark"


@pytest.mark.slow
def test_a_phone_shows_everything_without_scrolling_sideways(page):
    page.size(390, 844)
    page.wait(lambda: page.js("return innerWidth") == 390, "the size")
    page.js("rlgen.view.set('runs', ['model', 'first', rlgen.runs.list[0].name])")
    page.wait(lambda: page.all(".film img"), "pictures")
    page.wait(lambda: page.js("return document.documentElement.scrollWidth") <= 390, "no overflow")
    assert page.js(OVERFLOW) == []
    assert page.js("return [...document.querySelectorAll('.chart .uplot')].every(e => e.offsetWidth <= 390)")


@pytest.mark.slow
def test_print_has_curves_and_scores_but_no_controls(page):
    page.theme("dark")
    pdf = page.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"]
    content = base64.b64decode(pdf)
    assert content.startswith(b"%PDF")
    assert 1 <= len(re.findall(rb"/Type /Page\b", content)) <= 6
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not page.all("#runs, #timebar, .toolbar, #theme")
    assert page.all(".chart canvas")
    assert page.all("#compare .compared")
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
