"""The page in Chromium: table, curves, time, pictures, comparison, details."""

import json

import pytest

from tests.ui.runs_to_show import agent, log, model, ramp

ROWS = "table.runs tbody tr"
CHECKED = "return [...document.querySelectorAll('table.runs tbody tr.chosen .name.link')].map(e => e.textContent)"
MARKS = "return [...document.querySelectorAll('.mark')].map(e => e.hidden ? null : e.style.transform)"


def names(page):
    return page.texts(f"{ROWS} .name.link")


def test_the_newest_runs_of_a_kind_are_shown_first(open_page, runs):
    model(runs, "a-model", [0, 100])
    for i in range(6):
        agent(runs, f"run-{i}", ramp())
    page = open_page(runs)
    assert names(page) == [f"run-{i}" for i in (5, 4, 3, 2, 1, 0)] + ["a-model"]
    assert page.js(CHECKED) == [f"run-{i}" for i in (5, 4, 3, 2)]
    assert page.texts(".chart h3") == ["return per episode"]
    assert page.js("return document.querySelectorAll('.chart canvas').length") == 1


def test_filter_sort_and_choice(open_page, runs):
    for i, score in enumerate([20, 100, 3]):
        agent(runs, f"run-{i}", ramp(), result={"score": score})
    page = open_page(runs)
    page.click("th.in-score button")
    assert names(page) == ["run-1", "run-0", "run-2"]
    page.click("th.in-score button")
    assert names(page) == ["run-2", "run-0", "run-1"]
    page.find("#filter").send_keys("run-1")
    assert names(page) == ["run-1"]
    assert "1 of 3 runs" in page.text("#runs")
    page.click(f"{ROWS} input")
    page.find("#filter").clear()
    page.find("#filter").send_keys("cartpole")
    assert len(names(page)) == 3
    assert sorted(page.js(CHECKED)) == ["run-0", "run-2"]
    page.wait(lambda: "runs=run-0,run-2" in page.driver.current_url, "the runs in the address")


def test_seeds_are_a_band_with_their_number(open_page, runs):
    agent(runs, "four", ramp(seeds=4), seeds=4)
    page = open_page(runs)
    assert "n = 4" in page.text(".legend")
    curve = "rlgen.series.curve([{name: 'four'}], 'eval_return', {axis: 'steps', smoothing: 30, band: arguments[0]})"
    found = page.js(f"const c = {curve}; return [c.mean, c.low, c.high, c.n]", "range")
    ends = [row["eval_return"] for row in ramp(seeds=4)]
    assert found[0] == pytest.approx([sum(v) / 4 for v in ends])
    assert found[1] == pytest.approx([v[0] for v in ends])
    assert found[2] == pytest.approx([v[3] for v in ends])
    _, low, high, _ = page.js(f"const c = {curve}; return [c.mean, c.low, c.high, c.n]", "interval")
    assert all(v[0] < a < sum(v) / 4 < b < v[3] for v, a, b in zip(ends, low, high, strict=True))
    page.js("rlgen.view.set('band', 'seeds')")
    assert page.js("return rlgen.view.band") == "seeds"
    assert not page.all(".small")


@pytest.mark.slow
def test_runs_that_differ_in_the_seed_alone_are_averaged(open_page, runs):
    for seed in range(3):
        agent(runs, f"seed-{seed}", ramp(top=1 + seed), seed=seed)
    agent(runs, "other", ramp(), config={"lr": 0.1})
    page = open_page(runs)
    before = len(page.all(".legend button"))
    page.click("#group")
    assert len(page.all(".legend button")) == before / 2  # 4 runs, 2 experiments
    assert "n = 3" in page.text(".legend")


def test_gaps_single_points_and_empty_logs_are_drawn(open_page, runs):
    agent(runs, "one-point", [{"time": 0, "eval_return": 1.0}])
    agent(runs, "gaps", [{"time": t, "return": None if t == 2 else [1.0, None]} for t in range(5)], seeds=2)
    agent(runs, "empty", [])
    page = open_page(runs)
    assert len(page.all(".legend button")) == 2
    means = page.js("return rlgen.series.curve([{name: 'gaps'}], 'return', {axis: 'steps', smoothing: 0}).mean")
    assert means == [1, 1, 1, 1]  # the row without any value is none of the metric
    assert page.js("return rlgen.series.interpolate([0, 2], [1, 3], [0, 1, 2, 3])") == [1, 2, 3, None]


def test_the_horizontal_axis_in_seconds_and_episodes(open_page, runs):
    episodes = [{"time": 50 * i, "seed": 0, "return": float(i), "length": 50} for i in range(1, 21)]
    agent(runs, "timed", ramp(), episodes=episodes)
    page = open_page(runs)
    curve = "rlgen.series.curve([{name: 'timed'}], 'eval_return', {axis: arguments[0], smoothing: 0})"
    for axis, end in (("seconds", 10), ("episodes", 20), ("steps", 1000)):
        page.js("rlgen.view.set('x', arguments[0])", axis)
        page.wait(lambda axis=axis: page.js(f"return {curve} !== null", axis), axis)
        assert page.js(f"return {curve}.x.at(-1)", axis) == pytest.approx(end)
    assert page.js("return rlgen.series.episodes('timed', 'return')[0].mean.at(-1)") == pytest.approx(19.5)


def test_smoothing_is_a_moving_mean_that_keeps_the_ends(open_page, runs):
    agent(runs, "noisy", [{"time": t, "loss": float(t % 2)} for t in range(100)])
    page = open_page(runs, "more=loss")
    smooth = page.js("return rlgen.series.smooth(Array.from({length: 100}, (_, i) => i % 2), 10)")
    assert smooth[50] == pytest.approx(5 / 11, abs=0.1)
    assert smooth[0] == 0
    page.js("rlgen.view.set('smoothing', 0)")
    assert page.text("output[for=smoothing]") == "0 %"


def test_one_slider_moves_pictures_and_marks_of_all_runs(open_page, runs):
    model(runs, "early", [0, 100, 200])
    model(runs, "late", [0, 150, 400])
    page = open_page(runs)
    shown = "return [...document.querySelectorAll('.film img')].map(e => e.src.split('/samples/')[1].split('?')[0])"
    assert page.js(shown) == ["200", "400"]
    before = page.js(MARKS)
    page.js("document.getElementById('time').focus()")
    page.press("\ue012")  # left
    assert page.js(shown) == ["200", "150"]
    assert page.js("return rlgen.view.time") == 200
    page.press("\ue012", "\ue012")
    assert page.js(shown) == ["100", "0"]
    assert page.js(MARKS) != before
    assert page.text("output.time").startswith("100 images seen")
    page.wait(lambda: "time=100" in page.driver.current_url, "the time in the address")
    page.driver.refresh()
    page.wait(lambda: page.js("return rlgen.view.time") == 100, "the time of the address")
    page.wait(lambda: page.js("return document.querySelector('.film img').naturalWidth") == 16, "the picture")
    assert page.texts(".single h3") == ["Evolution"]


def test_a_picture_opens_large_and_follows_the_time(open_page, runs):
    model(runs, "run", [0, 100, 200])
    page = open_page(runs)
    page.click(".film button")
    assert page.find("dialog.zoom").is_displayed()
    page.press("\ue012")
    assert "at 100 images seen" in page.text("dialog.zoom")
    page.press("\ue00c")
    assert not page.all("dialog.zoom")


@pytest.mark.slow
def test_only_differences_are_listed(open_page, runs):
    agent(runs, "a", ramp(), result={"score": 5.0, "mean": 5.0, "iqm": 5.5, "ci95": [4.0, 6.0]})
    agent(runs, "b", ramp(), seed=1, config={"lr": 0.1}, result={"score": 7.0, "mean": 7.0})
    page = open_page(runs)
    rows = page.texts("#compare [aria-label='Settings that differ'] tbody th")
    assert rows == ["lr", "seed"]
    scores = page.texts("#compare [aria-label='Final scores'] tbody tr")
    assert scores == ["mean54 to 67", "iqm5.5–"]  # the score by its name, with its interval
    page.js("rlgen.view.set('runs', ['a'])")
    page.wait(lambda: "choose a second run" in page.text("#compare"), "one run alone")


@pytest.mark.slow
def test_the_command_is_shown_and_copied(open_page, runs):
    agent(runs, "run", ramp(), seed=7)
    page = open_page(runs)
    assert page.text(".command code") == "rlgen dqn CartPole --seed 7"
    page.driver.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    )
    page.click(".command button")
    page.wait(lambda: "Copied" in page.text("#notices"), "the notice")
    assert page.js("return navigator.clipboard.readText()") == "rlgen dqn CartPole --seed 7"
    assert "2.13.0" in page.text("#details")


def test_a_click_on_a_chart_sets_the_time_and_the_run(open_page, runs):
    from selenium.webdriver import ActionChains

    agent(runs, "low", ramp(top=1))
    agent(runs, "high", ramp(top=100))
    page = open_page(runs)
    over = page.find(".u-over")
    width, height = over.size["width"], over.size["height"]
    ActionChains(page.driver).move_to_element_with_offset(over, 0, round(0.43 * height)).click().perform()
    assert page.js("return rlgen.view.time") == pytest.approx(500, abs=2000 / width)
    assert page.js("return rlgen.view.focus") == "low"


def test_a_folder_without_runs_shows_how_to_train(open_page, runs):
    page = open_page(runs)
    assert "rlgen dqn CartPole" in page.text("#empty")
    agent(runs, "first", ramp())
    page.wait(lambda: names(page) == ["first"], "the first run")
    page.wait(lambda: not page.all("#empty") and page.all(".chart canvas"), "its chart")


@pytest.mark.slow
def test_many_runs_are_listed_in_part(open_page, runs):
    for i in range(230):
        agent(runs, f"run-{i:03d}", ramp(200))
    page = open_page(runs)
    assert len(names(page)) == 200
    page.click("#runs > .scroll > .link")
    assert len(names(page)) == 230
    assert json.dumps(page.js("return rlgen.view.runs.length")) == "4"


@pytest.mark.slow
def test_further_metrics_have_charts_of_their_own(open_page, runs):
    directory = agent(runs, "run", ramp())
    log(directory / "metrics.jsonl", [{"time": 1100, "odd_metric": 3.0}], "a")
    page = open_page(runs)
    page.click("details.more summary")
    page.click("[data-metric=epsilon]")
    page.wait(lambda: page.texts(".chart h3") == ["return per episode", "epsilon"], "the chart of the metric")
    page.wait(lambda: page.all("[data-metric=odd_metric]"), "the metric of the last row")


@pytest.mark.slow
def test_the_fall_of_a_loss_and_distant_references_are_outside_until_enlarged(open_page, runs):
    directory = model(runs, "run", [0, 100, 200], result={"uniform_nats": 400.0})
    log(
        directory / "metrics.jsonl",
        [{"time": t, "nats": 300 if t == 0 else 30 - t / 1000} for t in range(0, 1100, 100)],
    )
    page = open_page(runs)
    y = "const s = rlgen.charts.values().next().value.scales().y; return [s.min, s.max]"
    low, high = page.wait(lambda: [v for v in page.js(y) if v is not None], "the scale")
    assert 28 < low < 29.1
    assert 29.9 <= high < 31
    assert "uniform distribution, outside 400" in page.text(".legend").replace("\n", " ")


@pytest.mark.slow
def test_statistics_of_the_chosen_runs(open_page, runs):
    for seed in range(2):
        agent(runs, f"slow-{seed}", ramp(top=1 + seed), seed=seed)
        agent(runs, f"quick-{seed}", ramp(top=10 + seed), seed=seed, config={"lr": 0.1})
    page = open_page(runs)
    page.click("#statistics button")
    page.wait(lambda: page.all("#statistics table"), "the tables")
    text = page.text("#statistics")
    assert "higher is better" in text
    assert "slow-0 and 1 more" in text
    assert "with probability" in text
