"""Lets ``python -m ingestion`` start the command line."""

from ingestion.cli import main

main()
