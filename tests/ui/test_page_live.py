"""The page while runs grow, are resumed and are deleted; several tabs; hostile content."""

import json
import shutil

import pytest

from rlgen.ui.inlining import write
from tests.ui.runs_to_show import agent, log, model, ramp

COUNT = "return rlgen.runs.log('run').rows.length"


def test_a_growing_run_sends_new_lines_alone(open_page, runs):
    directory = agent(runs, "run", ramp(500), status="running")
    (directory / "run.lock").touch()
    page = open_page(runs)
    assert page.js(COUNT) == 6
    page.requests()
    describe(directory, time=600)
    log(directory / "metrics.jsonl", [{"time": 600, "return": 1.0, "eval_return": 9.0}], "a")
    page.wait(lambda: page.js(COUNT) == 7, "the new line")
    asked = [url for url in page.requests() if "/log?" in url]
    assert asked
    assert all("after=0" not in url for url in asked)
    page.wait(lambda: page.js("return rlgen.view.time") == 600, "the slider, which follows the end")


@pytest.mark.slow
def test_a_resumed_run_begins_anew(open_page, runs):
    directory = agent(runs, "run", ramp(1000), status="running")
    page = open_page(runs)
    assert page.js(COUNT) == 11
    log(directory / "new", ramp(400))
    (directory / "new").replace(directory / "metrics.jsonl")
    describe(directory, time=400)
    page.wait(lambda: page.js(COUNT) == 5, "the shorter log")
    assert page.js("return rlgen.view.end") == 400


@pytest.mark.slow
def test_a_run_that_is_deleted_while_shown_disappears_with_a_notice(open_page, runs):
    agent(runs, "keeps", ramp())
    directory = agent(runs, "goes", ramp())
    page = open_page(runs)
    page.expected.append("404")
    shutil.rmtree(directory)
    page.wait(lambda: "goes: no longer" in page.text("#notices"), "the notice")
    page.wait(lambda: page.js("return rlgen.view.runs") == ["keeps"], "the run that is left")
    assert page.texts(".details .run") == ["keeps"]


@pytest.mark.slow
def test_a_server_that_stopped_is_reported_and_found_again(open_page, runs):
    agent(runs, "run", ramp())
    page = open_page(runs)
    page.expected.append("ERR_")
    page.driver.execute_cdp_cmd("Network.enable", {})
    offline = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": True, **offline})
    page.wait(lambda: "does not answer" in page.text("#runs"), "the message")
    page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": False, **offline})
    page.wait(lambda: "does not answer" not in page.text("#runs"), "the connection")


@pytest.mark.slow
def test_seven_tabs_of_one_page(open_page, runs):
    model(runs, "run", [0, 100])
    page = open_page(runs)
    address = page.driver.current_url
    first = page.driver.current_window_handle
    try:
        for _ in range(6):
            page.driver.switch_to.new_window("tab")
            page.open(address)
            assert page.texts(".chart h3")
    finally:
        for handle in page.driver.window_handles:
            if handle != first:
                page.driver.switch_to.window(handle)
                page.driver.close()
        page.driver.switch_to.window(first)


def test_hostile_names_are_text(open_page, runs):
    bad = "<img src=x onerror=window.broken=1>"
    directory = agent(runs, bad, ramp(), config={"lr": "</script><script>window.broken=1</script>"})
    describe(directory, error=bad, versions={bad: bad}, device="javascript:window.broken=1", **{"name": "other"})
    shutil.copytree(directory, runs / "a b&c=d#e,f%2F'\"")
    model(runs, "m", [0, 10])
    (runs / "m" / "evolution.png").replace(runs / "m" / "'onerror=x.png")
    page = open_page(
        runs,
        "runs=" + ",".join(("%3Cimg%20src%3Dx%20onerror%3Dwindow.broken%3D1%3E", "a%20b%26c%3Dd%23e%2Cf%252F'%22")),
    )
    assert bad in page.texts("td .name.link")
    assert len(page.all(".chart canvas")) == 1
    assert len({button.get_attribute("title") for button in page.all(".legend button")}) >= 2
    assert page.js("return window.broken") is None
    assert page.js("return document.querySelectorAll('#main img, td img, script:not([src])').length") == 0
    page.js("rlgen.view.set('runs', ['m'])")
    page.wait(lambda: page.all(".single img"), "the picture with an odd name")


def test_a_broken_address_shows_the_page(open_page, runs):
    agent(runs, "run", ramp())
    page = open_page(runs, "runs=%E0%A4%A,none&time=abc&x=nothing&smoothing=1e9&__proto__=1&constructor=2&scale=%00")
    assert page.texts("td .name.link") == ["run"]
    assert page.js("return rlgen.view.smoothing") <= 50


@pytest.mark.slow
def test_torn_lines_and_foreign_files_do_not_stop_the_page(open_page, runs):
    directory = agent(runs, "run", ramp())
    with (directory / "metrics.jsonl").open("a") as file:
        file.write('{"time": 1100, "eval_ret')
    (runs / "foreign").mkdir()
    (runs / "foreign" / "run.json").write_text("[]")
    (directory / "bad.png").write_bytes(b"no picture")
    page = open_page(runs)
    assert page.js(COUNT) == 11
    page.wait(
        lambda: page.js("return document.querySelector('.single img').alt") == "This picture cannot be read.",
        "the text",
    )


def describe(directory, **facts):
    """Change run.json as a run in training does."""
    path = directory / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def test_a_report_is_the_same_page_without_a_server(browser, runs, tmp_path):
    directories = [model(runs, "model", [0, 100, 200]), agent(runs, "agent", ramp(seeds=4), seeds=4)]
    write(directories, tmp_path / "report.html")
    browser.open(f"file://{tmp_path / 'report.html'}")
    assert browser.texts(".chart h3")
    assert browser.text(".live") == "report"
    first = "return document.querySelector('.film img').src"
    last = browser.js(first)
    assert last.startswith("data:image/")
    browser.js("document.getElementById('time').focus()")
    browser.press("\ue011")  # home
    assert browser.js(first) != last
    browser.wait(lambda: browser.js("return document.querySelector('.film img').naturalWidth") == 16, "the picture")
    browser.press("?")
    assert browser.find("#help").is_displayed()
    assert not browser.all("#statistics")
