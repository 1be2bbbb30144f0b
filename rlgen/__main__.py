"""`python -m rlgen` is `rlgen`: the command line, or what completes one in a shell."""

import os
import sys


def main() -> None:
    """Run the command line. Completions are printed without importing it, within a tenth of a second."""
    if "RLGEN_COMPLETE" in os.environ:
        from rlgen.completion import main as complete

        complete()
        sys.exit()
    from rlgen.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
