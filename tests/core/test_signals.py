"""Signals are raised in this process, whose handlers are those of `handled`."""
# ruff: noqa: PT012  # what follows a signal is what is tested

import importlib
import signal
import sys
import threading
import time

import pytest

from rlgen.core import signals
from rlgen.core.signals import Stopped

BOTH = pytest.mark.parametrize("number", signals.SIGNALS)


@pytest.fixture(autouse=True)
def _handlers():
    before = [signal.getsignal(number) for number in (*signals.SIGNALS, signal.SIGALRM)]
    yield
    assert [signal.getsignal(number) for number in (*signals.SIGNALS, signal.SIGALRM)] == before


@BOTH
def test_the_first_signal_raises_at_once(number):
    with pytest.raises(Stopped, match=signal.Signals(number).name) as stopped, signals.handled():
        signal.raise_signal(number)
        raise AssertionError("it goes on")
    assert (stopped.value.number, stopped.value.again) == (number, False)


@BOTH
def test_a_held_signal_waits_for_the_end(number):
    after = []
    with signals.handled():
        with pytest.raises(Stopped) as stopped, signals.held():
            signal.raise_signal(number)
            after.append(signals.received())
        assert after == [number]
        assert stopped.value.number == number
        assert signals.received() == number
    assert signals.received() == 0


def test_a_held_signal_does_not_replace_an_error():
    with signals.handled(), pytest.raises(ZeroDivisionError), signals.held():
        signal.raise_signal(signal.SIGINT)
        raise ZeroDivisionError


def test_the_end_of_a_nested_section_raises_nothing():
    after = []
    with signals.handled(), pytest.raises(Stopped), signals.held():
        with signals.held():
            signal.raise_signal(signal.SIGINT)
        after.append("outer")
    assert after == ["outer"]


def test_released_work_is_abandoned_and_what_follows_is_held_again():
    after = []
    with signals.handled(), pytest.raises(Stopped), signals.held():
        with pytest.raises(Stopped), signals.released():
            signal.raise_signal(signal.SIGINT)
            after.append("released")
        after.append("held")
        with pytest.raises(Stopped), signals.released():  # a signal that waits
            after.append("released")
        with pytest.raises(Stopped):
            signals.check()
    assert after == ["held"]


@pytest.mark.parametrize("second", signals.SIGNALS)
def test_the_second_signal_raises_at_once(second, monkeypatch):
    monkeypatch.setattr(signals, "ECHO", 0.02)
    with pytest.raises(Stopped) as stopped, signals.handled(), signals.held():
        signal.raise_signal(signal.SIGINT)
        time.sleep(0.03)
        signal.raise_signal(second)
        raise AssertionError("it goes on")
    assert (stopped.value.number, stopped.value.again) == (second, True)


def test_a_signal_that_is_delivered_twice_is_one():
    with pytest.raises(Stopped) as stopped, signals.handled(), signals.held():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    assert not stopped.value.again


def test_of_nested_handlers_the_outermost_counts():
    with signals.handled():
        with signals.handled():
            pass
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGTERM)


def test_other_threads_hold_nothing():
    found = []

    def work():
        with signals.handled(), signals.held(), signals.released():
            signals.check()
            found.append(signals.received())

    with pytest.raises(Stopped), signals.handled():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert found == [0]
        signal.raise_signal(signal.SIGINT)


def test_limited_work_is_abandoned_in_time():
    began, after = time.monotonic(), []
    with signals.limited(0.05):
        time.sleep(5)
        after.append("slept")
    assert time.monotonic() - began < 2
    assert after == []
    with signals.limited(5.0):
        after.append("quick")
    assert after == ["quick"]
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_limited_work_ends_after_an_import(tmp_path, monkeypatch):
    (tmp_path / "rlgen_module_of_limited_work.py").write_text("import time\ntime.sleep(0.1)\nwhole = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    after = []
    with signals.limited(0.02):
        module = importlib.import_module("rlgen_module_of_limited_work")
        time.sleep(5)
        after.append("slept")
    assert module.whole
    assert after == []


def test_limited_work_keeps_its_errors():
    with pytest.raises(ZeroDivisionError), signals.limited(5.0):
        raise ZeroDivisionError


def test_a_stop_in_a_destructor_is_raised_again():
    class Stopping:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)
            time.sleep(0)

    with pytest.raises(Stopped) as stopped, signals.handled():
        Stopping()
        time.sleep(60)  # ended by the signal
        raise AssertionError("the destructor ended the signal")
    assert (stopped.value.number, stopped.value.again) == (signal.SIGTERM, False)


def test_a_stop_in_a_destructor_waits_within_held():
    class Stopping:
        def __del__(self):
            with signals.released():
                signal.raise_signal(signal.SIGTERM)

    after = []
    with pytest.raises(Stopped), signals.handled(), signals.held():
        Stopping()
        time.sleep(10 * signals.SOON)
        after.append("held")
    assert after == ["held"]


def test_a_stop_in_an_import_waits_for_its_end(tmp_path, monkeypatch):
    """What is done after the stop needs the whole module."""
    (tmp_path / "rlgen_slow_module.py").write_text(
        "import signal, time\nsignal.raise_signal(signal.SIGTERM)\ntime.sleep(0.05)\nwhole = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Stopped), signals.handled():
        importlib.import_module("rlgen_slow_module")
        time.sleep(60)
    assert sys.modules["rlgen_slow_module"].whole


def test_a_stop_in_an_import_without_an_end_does_not_wait_for_it(tmp_path, monkeypatch):
    (tmp_path / "rlgen_endless_module.py").write_text(
        "import signal, time\nsignal.raise_signal(signal.SIGTERM)\ntime.sleep(60)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(signals, "IMPORT", 0.02)
    with pytest.raises(Stopped), signals.handled():
        importlib.import_module("rlgen_endless_module")
