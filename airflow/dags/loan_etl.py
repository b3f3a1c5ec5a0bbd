"""Bronze to silver, gold and features: dbt's graph, then Feast and the proof.

It starts when a batch has landed, and every hour for what came by the stream. One dbt
process builds and tests everything; the tasks of the group `dbt` watch it, one a model
and one for the model's tests. A test that fails stops what stands behind it, and nothing
else; one over several models counts for the last of them. Cleared or tried again, a task
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
    # Beside dbt, for it stops nothing: what has landed is folded, however old it is.
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
        # A watcher looks that often (seconds): the default, 10, would hold up those behind it.
        # Tried again, a task runs dbt for its own model: once is enough to get over a
        # service that was away, if it had the time to start, and a test that fails will
        # fail again.
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
            # The second try of dbt's one process does nothing, and at once: it lets those who
            # watch it do its work, each its own, so that the run gets over what was away.
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
