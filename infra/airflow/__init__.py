"""Airflow: its configuration, what it needs to start, and a client."""
