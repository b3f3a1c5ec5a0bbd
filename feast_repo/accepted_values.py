"""The values that an attribute may have: silver's own list, dbt's seed."""

import csv
from pathlib import Path

# A link to the list of the source system, which dbt's seed links to as well.
SEED = Path(__file__).with_name("accepted_values.csv")


def accepted_values(attribute: str) -> str:
    """The values of a source's attribute, for people."""
    with SEED.open(newline="") as lines:
        rows = csv.DictReader(lines)
        values = [row["value"] for row in rows if row["attribute"] == attribute]
    return f"one of {', '.join(values)}"
