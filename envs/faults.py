"""What went wrong in an environment as one line: what it raised and where, what it returned, or that it did not return.

Exceptions of the program itself pass through an environment unchanged: a signal that stops the run, and Ctrl-C.
"""

import dis
from pathlib import Path
from types import TracebackType

from rlgen.core.errors import EnvironmentFault, Interrupted
from rlgen.envs.contract import Unfit
from rlgen.envs.watchdog import StepTimeout


def fault(name: str, method: str, error: BaseException, index: int = 0) -> EnvironmentFault:
    """The error that stands for an exception in `method` of the environment `name`, copy `index` of those stepped."""
    if isinstance(error, Unfit):
        return EnvironmentFault(f"{name} returned {error} from {method}()", method, index)
    where = _place(error.__traceback__, skip=isinstance(error, StepTimeout))
    if isinstance(error, StepTimeout):
        message = (
            f"{name} did not return from {method}() within {error.args[0]:g} s, the limit of --step-timeout{where}"
        )
        return EnvironmentFault(message, method, index)
    text = (str(error).splitlines() or [""])[0]
    described = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return EnvironmentFault(f"{name} failed in {method}(): {described}{where}", method, index)


def passes(error: BaseException) -> bool:
    """Whether an exception came from outside of the environment: a signal of the run, or Ctrl-C."""
    ours = not isinstance(error, Exception | StepTimeout) and type(error).__module__.startswith("rlgen.")
    if isinstance(error, KeyboardInterrupt) and not ours:
        return not _raised_by_statement(error.__traceback__)
    return ours or isinstance(error, Interrupted)


def _raised_by_statement(trace: TracebackType | None) -> bool:
    """Whether the exception is from a `raise` of the environment; Ctrl-C strikes between two other instructions."""
    last = _last(trace)
    return last is not None and last.tb_frame.f_code.co_code[last.tb_lasti] == dis.opmap["RAISE_VARARGS"]


def _place(trace: TracebackType | None, skip: bool) -> str:
    """File and line at which the exception was raised; with `skip` without the frame of the signal's handler."""
    last = _last(trace, skip)
    return f" ({Path(last.tb_frame.f_code.co_filename).name}, line {last.tb_lineno})" if last is not None else ""


def _last(trace: TracebackType | None, skip: bool = False) -> TracebackType | None:
    """The innermost entry of a traceback below the loop over environments, or the one above it; None without any."""
    entries = []
    while trace is not None:
        entries.append(trace)
        trace = trace.tb_next
    below = entries[1 : -1 if skip else None]
    return below[-1] if below else None
