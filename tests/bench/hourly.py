"""The hourly path to the online store, without Flink: the commands of the pipeline `loan_etl`."""

import sys
import time
from collections.abc import Iterable
from contextlib import closing

from feast import FeatureStore

from feast_repo.store import open_store
from infra.paths import REPO
from ingestion.postgres import connect_owner
from ingestion.settings import get_settings
from tests.bench.dbt import BUILD
from tests.bench.measure import Row, measure, seconds
from tests.stack import ingest

MATERIALIZE = [sys.executable, "-m", "feast_repo.materialize", "--apply"]
# loan_etl starts once an hour.
INTERVAL_SECONDS = 3_600
# Some of these applications are served: a rule rejects the others.
KEYS = range(1, 101)
GREATEST_SCORE = 850


def hourly_path() -> list[Row]:
    """Seconds from a commit until the online store has it; Flink's job must be stopped."""
    ingest("batch")
    ingest("bronze-tables")
    run_pipeline()  # takes what came before, as the last hour's run would have
    store = open_store()
    key, score = served_application(store)
    committed = change_score(key, score + 1)
    steps = run_pipeline()
    while served_scores(store, [key]) != [score + 1]:
        time.sleep(0.05)
    online = time.monotonic() - committed
    steps["commit to online, the pipeline starts at once"] = online
    steps["commit to online, it starts an hour later"] = online + INTERVAL_SECONDS
    return [{"step": step, "seconds": taken} for step, taken in steps.items()]


def run_pipeline() -> dict[str, float]:
    """Seconds of each command."""
    return {
        "stream wait": seconds(lambda: ingest("stream", "wait")),
        "dbt build": measure(BUILD, str(REPO / "dbt_project")).seconds,
        "materialize": measure(MATERIALIZE, str(REPO)).seconds,
    }


def served_application(store: FeatureStore) -> tuple[int, int]:
    """One that is served, and its score, which can be greater by one."""
    scores = zip(KEYS, served_scores(store, KEYS), strict=True)
    return next((key, score) for key, score in scores if score and score < GREATEST_SCORE)


def served_scores(store: FeatureStore, keys: Iterable[int]) -> list[int | None]:
    response = store.get_online_features(
        features=["credit_history:credit_score"],
        entity_rows=[{"application_id": key} for key in keys],
    )
    scores: list[int | None] = response.to_dict()["credit_score"]
    return scores


def change_score(key: int, score: int) -> float:
    """Change it in the source; the moment of the commit."""
    with closing(connect_owner(get_settings(), "bench")) as source, source.cursor() as cursor:
        cursor.execute(
            "update loan_applications set credit_score = %s, updated_at = now()"
            " where application_id = %s",
            (score, key),
        )
        source.commit()
        return time.monotonic()
