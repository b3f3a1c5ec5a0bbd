"""What the pipelines need and Airflow does not have: code that airflow/dags/ imports."""

from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
