"""In place of a training: a process that does what the name of its run says, and notes when."""

import os
import signal
import sys
import time
from pathlib import Path

from rlgen.core.children import end_with_parent


def stop(*_):
    print("stopped at 5, saved", file=sys.stderr, flush=True)
    sys.exit(143)


end_with_parent()
words = sys.argv[1:]
name = words[words.index("--name") + 1]
notes = Path(words[words.index("--runs") + 1]) / "notes"
with notes.open("a") as file:
    file.write(f"{name} begins with {os.environ['OMP_NUM_THREADS']}\n")
if name.startswith("dies"):
    os.kill(os.getpid(), signal.SIGKILL)
if name.startswith("fails"):
    print("a warning\nerror: no such thing", file=sys.stderr)
    sys.exit(5)
if name.startswith("sleeps"):
    signal.signal(signal.SIGTERM, stop)
    (notes.parent / "asleep").touch()
    time.sleep(60)
time.sleep(0.2)
with notes.open("a") as file:
    file.write(f"{name} ends\n")
