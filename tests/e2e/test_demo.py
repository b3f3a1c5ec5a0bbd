"""`make demo`, as a newcomer runs it, and its results."""

import os
import re
import subprocess

import pytest

from infra.paths import REPO
from tests.stack import query_trino

# LOAN_CSV names the real file, which is not ours to ship; what is known of it
# stands here. Without it, the generator alone is tested.
REAL_FILE = os.environ.get("LOAN_CSV")
SOURCES = ["generator", "real file"] if REAL_FILE else ["generator"]


def demo(source: str) -> subprocess.CompletedProcess[str]:
    """The last one by Airflow's pipelines, any other by hand."""
    env = {key: value for key, value in os.environ.items() if key not in ("LOAN_CSV", "AIRFLOW")}
    if source == "real file":
        env["LOAN_CSV"] = str(REAL_FILE)
    return subprocess.run(
        ["make", "demo", f"AIRFLOW={int(source == SOURCES[-1])}"],
        cwd=REPO,
        env={**env, "COLUMNS": "120"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )


# What the file held: the history as of the snapshot that was taken when it was loaded.
AS_LOADED = """
select {columns}
from iceberg.silver.loan_application_history
cross join (
    select max(from_iso8601_timestamp(taken_at)) as loaded_at
    from hive.bronze.batch_snapshots
    where
        dt >= current_date - interval '1' day
        and table_name = 'loan_applications'
        and mode = 'full'
)
where valid_from <= loaded_at and (valid_to is null or valid_to > loaded_at)
"""


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_demo_takes_every_row_to_the_features(stack: dict[str, str], source: str) -> None:
    """The second one finds the first one's lake: all that it loads comes by both paths."""
    done = demo(source)
    assert done.returncode == 0, done.stdout[-4000:]
    parts = ["The lake\n", r"lake ready \d+ s after the start", "From commit to"]
    with_airflow = source == SOURCES[-1]
    ready = "pipelines ready" if with_airflow else "all of it by hand, ready"
    parts += [rf"{ready} \d+ s after the start", "The lakehouse\n", r"model ready \d+ s"]
    parts += ["Where to look", "What to try next"]
    assert re.search(".*".join(parts), re.sub(r" +\n", "\n", done.stdout), re.DOTALL)
    loaded = query_trino(
        stack,
        AS_LOADED.format(columns="count(*), count_if(person_age > 100), count_if(loan_status = 1)"),
    )
    assert loaded[0][0] == 45_000
    if source == "real file":
        assert loaded == [[45_000, 7, 10_000]]
    # The simulator went on from there, and features are served of all that is accepted.
    [[silver]] = query_trino(stack, "select count(*) from iceberg.silver.loan_applications")
    assert silver != 45_000
    assert query_trino(stack, "select count(*) from iceberg.gold.loan_features") == [[silver]]
    # A model was trained on them. The first is champion; a later one if it is not worse.
    assert "warning: no application was decided in " in done.stdout
    promoted = re.search(r"promoted: version (\d+) is champion", done.stdout)
    assert promoted or (source != SOURCES[0] and "not promoted: it is worse" in done.stdout)
    # The champion has scored them all.
    champion = re.search(r"version (\d+) scored", done.stdout)
    assert champion, done.stdout[-4000:]
    scored = (
        "select count(*) from iceberg.silver.loan_applications"
        " inner join iceberg.silver.loan_scores using (application_id)"
        f" where model_version = {champion[1]}"
    )
    assert query_trino(stack, scored) == [[silver]]


def test_demo_stops_at_the_first_failure_and_reports_it(stack: dict[str, str]) -> None:
    done = subprocess.run(
        ["make", "demo"],
        cwd=REPO,
        env={**os.environ, "LOAN_CSV": "no such file.csv"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode != 0
    assert "no such file.csv" in done.stdout
    assert re.search(r"step \d+ failed", done.stdout)
    assert "follow every change" not in done.stdout  # the step after it
    assert "The lake" not in done.stdout
    assert "Traceback" not in done.stdout
