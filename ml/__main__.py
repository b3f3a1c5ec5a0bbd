"""Lets `python -m ml` start the command line."""

from ml.cli import main

main()
