"""`python -m rlgen` is `rlgen`: the command line, or what completes one in a shell."""

import os
import signal
import sys


def main() -> None:
    """Run the command line. Completions are printed without importing it, within a tenth of a second.

    Ctrl-C and SIGTERM end any command at once, with its unfinished files removed and the exit code 130 or 143.
    """
    if "RLGEN_COMPLETE" in os.environ:
        from rlgen.completion import main as complete

        complete()
        sys.exit()
    from rlgen.core import signals

    try:
        with signals.handled():
            from rlgen.cli.main import main as run

            run()
    except signals.Stopped as stopped:
        print("stopped", file=sys.stderr)
        sys.exit(128 + stopped.number)
    finally:
        for number in signals.SIGNALS:  # nothing is left to be saved: the end of the interpreter is not held up
            signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    main()
