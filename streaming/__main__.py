"""Lets `python -m streaming` start the command line."""

from streaming.cli import main

main()
