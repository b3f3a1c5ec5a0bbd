"""Bronze to silver, gold and features: dbt's graph, then Feast and reconciliation.

It starts when a batch has landed, and every hour for the stream's changes. One dbt
process builds and tests everything; the tasks of the group `dbt` watch it, one for each
model and one for the model's tests. A failed test skips its downstream models only; a
test over several models belongs to the last of them. A task that is cleared or retried
runs dbt for its own model.
"""

from datetime import timedelta

from airflow.sdk import DAG, AssetOrTimeSchedule
from cosmos import (
    DbtTaskGroup,
    ExecutionConfig,
    ExecutionMode,
    LoadMode,
    ProfileConfig,
    ProjectConfig,
    RenderConfig,
    TestBehavior,
)
from cosmos.constants import InvocationMode

from include import REPO, lineage
from include.common import BRONZE, DEFAULTS, TRINO_POOL, command, cron
from include.dbt_graph import count_each_test_once, link_to_docs
from include.dbt_manifest import PROJECT, current

with DAG(
    dag_id="loan_etl",
    description="Bronze to silver, gold and features, tested and reconciled with the source",
    doc_md=__doc__,
    schedule=AssetOrTimeSchedule(timetable=cron("30 * * * *"), assets=BRONZE),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    tags=["silver", "gold", "features", "dbt"],
):
    # In parallel with dbt: it only warns, and dbt processes old data, too.
    command("source_freshness", "dbt source freshness", "dbt_project")
    dbt = DbtTaskGroup(
        group_id="dbt",
        project_config=ProjectConfig(
            dbt_project_path=PROJECT, manifest_path=current(), install_dbt_deps=False
        ),
        profile_config=ProfileConfig(
            profile_name="loan_lakehouse",
            target_name="lakehouse",
            profiles_yml_filepath=PROJECT / "profiles.yml",
        ),
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST,
            test_behavior=TestBehavior.AFTER_EACH,
            # Unit tests prove the SQL, not the data: see dbt_project/selectors.yml. Scores
            # are built by loan_model_training.
            exclude=["resource_type:exposure", "resource_type:unit_test", "tag:scores"],
        ),
        # Seconds between a watcher's checks: the default, 10, would delay downstream tasks.
        # A retried task runs dbt for its own model: one retry is enough after a service's
        # restart, and a test that fails will fail again.
        operator_args={
            "poke_interval": 2,
            "retries": 1,
            "retry_delay": timedelta(seconds=30),
            "retry_exponential_backoff": 0,
        },
        execution_config=ExecutionConfig(
            execution_mode=ExecutionMode.WATCHER,
            invocation_mode=InvocationMode.SUBPROCESS,
            dbt_executable_path=REPO / ".venv/bin/dbt",
            # A retry of dbt's process does nothing: the watching tasks then each run their
            # own model, so that the run recovers from a service's restart.
            setup_operator_args={
                "pool": TRINO_POOL,
                "callback": lineage.emit,
                "retry_delay": timedelta(seconds=1),
            },
        ),
    )
    count_each_test_once(dbt)
    link_to_docs(dbt)
    features = command("materialize_features", "python -m feast_repo.materialize --apply")
    reconcile = command("reconcile", "python -m ingestion reconcile --live")
    dbt >> [features, reconcile]
