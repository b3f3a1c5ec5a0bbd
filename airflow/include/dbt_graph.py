"""Changes to the graph that Cosmos renders of dbt's project."""

import os
from collections.abc import Mapping

from cosmos import DbtTaskGroup
from cosmos.constants import PRODUCER_WATCHER_TASK_ID
from cosmos.dbt.graph import DbtNode


def count_each_test_once(group: DbtTaskGroup) -> None:
    """Assign a test over several models to the most downstream one.

    Cosmos assigns it to each of them, so that a test that dbt skipped, because one model
    failed, fails all the others, too, and their downstream models. dbt itself skips only what
    is downstream of all the test's models (``_add_test_edges`` in dbt-core's compilation.py).
    """
    nodes = group.dbt_graph.filtered_nodes
    producer = group.children[f"{group.group_id}.{PRODUCER_WATCHER_TASK_ID}"]
    producer.tests_per_model = {}
    for test in (node for node in nodes.values() if node.resource_type.value == "test"):
        parents = [parent for parent in test.depends_on if parent in nodes]
        if parents:
            last = max(parents, key=lambda parent: len(ancestors(nodes, parent)))
            producer.tests_per_model.setdefault(last, []).append(test.unique_id)


def ancestors(nodes: Mapping[str, DbtNode], name: str) -> set[str]:
    """All that a model is made of, however far back."""
    found: set[str] = set()
    new = {name}
    while new:
        new = {up for one in new if one in nodes for up in nodes[one].depends_on} - found
        found |= new
    return found


def link_to_docs(group: DbtTaskGroup) -> None:
    """Give each model's tasks a link to its page of `make docs`."""
    docs = f"http://{os.environ['BIND_HOST']}:{os.environ['DBT_DOCS_PORT']}"
    for task in group.iter_tasks():
        if model := getattr(task, "model_unique_id", None):
            kind, _, name = model.split(".")
            task.doc_md = f"[{name}]({docs}/#!/{kind}/{model}) in dbt's documentation (`make docs`)"
