"""``python -m chiasm``: the command line, wherever its script is installed."""

from chiasm.cli import main

main()
