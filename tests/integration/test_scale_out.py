"""More Trinos than one, and one of them killed in the middle of a query."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from dotenv import set_key

from infra.env import env_file, load_env
from infra.native.stack import Supervisor
from tests.stack import own_stack, query_trino

pytestmark = pytest.mark.slow

SERVICES = ("trino-worker", "hive")
WORKERS, ROUNDS = 2, 5
ROWS, KEYS, HASHES = 40_000_000, 1000, 10_000
# Two stages with work for each of them: the numbers, and what is done with the groups. Hashing
# takes time, and no memory.
QUERY = f"""
create table iceberg.silver.scaled as
select key, numbers, greatest,
    reduce(sequence(1, {HASHES}), work, (hash, i) -> sha512(hash), hash -> hash) as work
from (
    select number % {KEYS} as key, count(*) as numbers, max(number) as greatest,
        max(sha512(to_utf8(cast(number as varchar)))) as work
    from table(sequence(1, {ROWS})) as t(number)
    group by 1
)
"""
BUSY = """
select t.node_id
from system.runtime.tasks as t join system.runtime.queries as q on q.query_id = t.query_id
where q.query like '%create table%' and q.user = 'admin' and q.query not like '%runtime%'
  and t.node_id like 'worker-%' and t.state = 'RUNNING' and t.running_splits > 0
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[dict[str, str]]:
    """A Trino with two that only work, which retries what one of them was at."""

    def scale_out() -> None:
        set_key(env_file(), "TRINO_WORKERS", str(WORKERS), quote_mode="never")
        set_key(env_file(), "TRINO_RETRY_POLICY", "TASK", quote_mode="never")

    with own_stack(".lakehouse-scale", prepare=scale_out, services=SERVICES) as settings:
        yield settings


def test_the_workers_are_known(cluster: dict[str, str]) -> None:
    nodes = "select node_id, coordinator from system.runtime.nodes where state = 'active'"
    expected = [["coordinator", True], ["worker-1", False], ["worker-2", False]]
    assert sorted(query_trino(cluster, nodes)) == expected


def test_a_query_whose_worker_is_killed_ends_right(cluster: dict[str, str]) -> None:
    # With retries, Trino may give all tasks of a stage to one node, also to the coordinator.
    assert any(killed_in_the_middle(cluster) for _ in range(ROUNDS))
    found = "select count(*), sum(numbers), max(greatest) from iceberg.silver.scaled"
    assert query_trino(cluster, found) == [[KEYS, ROWS, ROWS]]


def killed_in_the_middle(cluster: dict[str, str]) -> bool:
    """Run the query to its end, and kill the first worker seen at one of its tasks.

    False: the query ended before a worker was seen and killed.
    """
    query_trino(cluster, "drop table if exists iceberg.silver.scaled")
    with ThreadPoolExecutor(1) as pool:
        query = pool.submit(query_trino, cluster, QUERY)
        while not (busy := query_trino(cluster, BUSY)):
            if query.done():
                query.result()  # raises if it failed
                return False
        supervisor = Supervisor(load_env()).rpc().supervisor
        supervisor.signalProcess(f"trino-worker:trino-{busy[0][0]}", "KILL")
        in_the_middle = not query.done()
        query.result()
        return in_the_middle
