"""A command of rlgen as a process that ends with the one that started it: `python -m rlgen.queue.worker WORDS`."""

import sys

from rlgen.__main__ import main
from rlgen.core.children import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    sys.argv[0] = "rlgen"
    main()
