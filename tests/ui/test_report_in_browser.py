"""A report opened from a file: everything is drawn, the slider works, and nothing is requested."""

from rlgen.ui import inlining
from tests.ui.runs_to_show import agent, model, ramp

SHOWN = "return [...document.querySelectorAll('.film img')].map(e => e.naturalWidth ? e.src.slice(-60) : '')"


def report(runs, out, *names):
    inlining.write([runs / name for name in names], out)
    return out.as_uri()


def test_a_report_needs_no_server(browser, runs, tmp_path):
    model(runs, "a <b> & 'c' (d)", [0, 100, 200])
    model(runs, "late", [0, 150, 400])
    address = report(runs, tmp_path / "report.html", "a <b> & 'c' (d)", "late")
    browser.requests()
    browser.open(address)
    browser.wait(lambda: all(browser.js(SHOWN)), "the pictures")
    last = browser.js(SHOWN)
    assert len(last) == 2
    browser.js("document.getElementById('time').focus()")
    browser.press("\ue011")  # Home
    browser.wait(lambda: all(browser.js(SHOWN)) and browser.js(SHOWN) != last, "the first pictures")
    assert browser.text("output.time").startswith("0 images seen")
    assert browser.all(".card canvas")
    assert "report" in browser.text("#header")
    assert browser.text("footer.report").startswith("Report of rlgen")
    sent = [url for url in browser.requests() if not url.startswith(("data:", "chrome:"))]
    assert [url.split("#")[0] for url in sent] == [address]


def test_agents_of_a_report_have_curves_by_episodes_and_seconds(browser, runs, tmp_path):
    episodes = [{"time": 10 * i, "seed": 0, "return": float(i), "length": 10} for i in range(1, 90)]
    agent(runs, "one", ramp(), episodes=episodes, result={"score": 1.0})
    agent(runs, "two", ramp(seeds=3), seed=1, seeds=3)
    browser.open(report(runs, tmp_path / "report.html", "one", "two"))
    for x in ("seconds", "episodes", "steps"):
        browser.js("rlgen.view.set('x', arguments[0])", x)
        browser.wait(lambda: browser.all(".card canvas"), "curves")
    assert not browser.all(".live button")
