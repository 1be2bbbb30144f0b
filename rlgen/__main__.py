"""`python -m rlgen` is `rlgen`."""

from rlgen.cli import main

main()
