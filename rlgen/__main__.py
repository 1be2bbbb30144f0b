"""`python -m rlgen` is `rlgen`."""

from rlgen.cli.main import main

main()
