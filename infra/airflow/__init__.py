"""Airflow: its configuration, what it needs to start, and a client."""

# A pool of one slot: who writes silver and gold, or rewrites their files, holds it.
TRINO_POOL = "trino"
