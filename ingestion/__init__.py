"""How rows get from the source database into the lake: ``python -m ingestion --help``."""
