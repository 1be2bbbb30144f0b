"""Seconds and memory of every lesson: `python tests/benchmarks/lessons.py [--full] [NAME...]`.

The lessons run one after another, each in a process of its own, in a new folder. Minutes on two cores are those of the
wall clock on an idle machine; processor time does not depend on other processes.
"""

import argparse
import tempfile
import time

from trained import rlgen

from rlgen.core.tables import table
from rlgen.lessons import schema


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=schema.names(), help="lessons; all by default")
    parser.add_argument("--full", action="store_true", help="full versions in place of quick ones")
    given = parser.parse_args()
    rows, total = [], 0.0
    with tempfile.TemporaryDirectory() as runs:
        for name in given.names:
            began = time.perf_counter()
            printed = rlgen(["lesson", name, "--runs", runs, *([] if given.full else ["--quick"])])
            seconds = time.perf_counter() - began
            total += seconds
            if isinstance(printed, str):
                rows.append([name, printed, "", ""])
                continue
            rows.append([name, f"{seconds:.0f}", f"{printed['cpu']:.0f}", f"{printed['gib']:.2f}"])
    print("\n".join(table(["lesson", "seconds", "of processor", "GiB"], rows)))
    print(f"all together {total / 60:.1f} min")


if __name__ == "__main__":
    main()
