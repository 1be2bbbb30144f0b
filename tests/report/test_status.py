import io
import time as clock

import pytest
from rich.console import Console
from rich.text import Text

from rlgen.report import status
from rlgen.report.status import Ticker, Work, duration, line

DETAILS = ["return 123.4", "12,345 steps/s", "epsilon 0.05", "loss 0.123", "eval 200.0"]


def work(done=5_000_000, total=10_000_000, ago=3600.0, **more):
    return Work("evaluating", total, "steps", done, began=clock.perf_counter() - ago, **more)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.9, "0:59"), (61, "1:01"), (3599, "59:59"), (3661, "1:01:01")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize("width", [40, 60, 79, 100, 200])
def test_bar_and_time_left_stay_when_the_terminal_is_narrow_and_metrics_are_dropped_first(width):
    text = line(work(), DETAILS, width).plain
    assert len(text) <= width
    assert "━" in text
    assert " 50 %" in text
    assert "1:00:00 left" in text or "59:59 left" in text
    shown = [detail for detail in DETAILS if detail in text]
    assert shown == DETAILS[: len(shown)]
    assert ("5,000,000/10,000,000 steps" in text) == (width >= 79)
    assert (len(shown) == len(DETAILS)) == (width == 200)


def test_the_first_metric_fits_into_80_columns_in_a_usual_run():
    assert "return (100) 123.4" in line(work(15_000, 30_000, 10), ["return (100) 123.4"], 79).plain


def test_the_bar_is_as_long_as_the_share_that_is_done():
    text = line(work(2_500_000), [], 79).plain
    assert (text.count("━"), text.count("─")) == (2, 6)
    assert line(work(10_000_007), [], 79).plain.count("━") == 8


def test_time_left_follows_from_the_speed_since_the_start_without_what_a_resumed_run_skipped():
    assert Work("", 100, "", 50, began=clock.perf_counter() - 10.5).time_left() == "0:10 left"
    assert Work("", 100, "", 50, skipped=40, began=clock.perf_counter() - 10.05).time_left() == "0:50 left"


@pytest.mark.parametrize("changes", [{"done": 0}, {"done": 7, "skipped": 7}, {"done": 100}, {"total": None}])
def test_without_a_speed_or_with_nothing_left_the_time_in_this_phase_is_shown(changes):
    here = Work(**{"phase": "evaluating", "total": 100, "began": clock.perf_counter() - 99, **changes})
    here.phase_began = clock.perf_counter() - 4.5
    assert here.time_left() == "0:04 elapsed"
    here.enter("evaluating")
    assert here.time_left() == "0:04 elapsed"
    here.enter("saving")
    assert here.time_left() == "0:00 elapsed"


def test_work_of_unknown_length_has_no_bar():
    text = line(Work("loading"), ["a"], 79).plain
    assert text.split("  ")[0].strip() == "loading"
    assert "%" not in text
    assert text.endswith("a")


def ticker(monkeypatch, terminal, seconds=0.3, period=0.1, **options):
    """What a ticker shows in so many seconds: the widths it drew in place for, and when plain lines came."""
    monkeypatch.setattr(status, "REFRESH", 0.02)
    monkeypatch.setattr(status, "FIRST", period)
    monkeypatch.setattr(status, "PLAIN", period)
    monkeypatch.delenv("CI", raising=False)
    console = Console(file=io.StringIO(), force_terminal=terminal, width=80)
    drawn, lines, began = [], [], clock.perf_counter()

    def draw(width):
        drawn.append(width)
        return Text("here")

    with Ticker(console, draw, lambda: lines.append(clock.perf_counter() - began), **options):
        clock.sleep(seconds)
    return drawn, lines, console.file.getvalue()


def test_on_a_terminal_the_line_is_redrawn_by_the_clock(monkeypatch):
    drawn, lines, text = ticker(monkeypatch, terminal=True)
    assert 5 <= len(drawn) <= 16
    assert set(drawn) == {79}
    assert "here" in text
    assert lines  # they go to the log


def test_elsewhere_a_plain_line_now_and_then(monkeypatch):
    _, lines, text = ticker(monkeypatch, terminal=False, seconds=0.5)
    assert text == ""
    assert 2 <= len(lines) <= 5
    assert lines[0] >= 0.1


def test_nothing_is_redrawn_when_quiet(monkeypatch):
    assert ticker(monkeypatch, terminal=True, quiet=True)[2] == ""


def test_in_ci_there_is_nothing_in_place(monkeypatch):
    monkeypatch.setenv("CI", "1")
    assert not Ticker(Console(file=io.StringIO(), force_terminal=True), lambda width: Text(), lambda: None).in_place


def test_an_error_in_the_status_line_ends_neither_the_thread_nor_the_work(monkeypatch):
    calls = []

    def fail(width):
        calls.append(width)
        raise ZeroDivisionError

    monkeypatch.setattr(status, "REFRESH", 0.01)
    monkeypatch.delenv("CI", raising=False)
    with Ticker(Console(file=io.StringIO(), force_terminal=True), fail, lambda: None):
        clock.sleep(0.1)
    assert len(calls) > 2
