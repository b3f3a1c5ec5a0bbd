"""The blocks of README and docs/ that are marked `<!-- run -->` succeed on a lake."""

import subprocess
from collections.abc import Iterator

import pytest

from infra.paths import REPO
from ingestion.settings import get_settings
from ingestion.storage import Bronze
from ingestion.stream.dead_letters import kept_letters
from tests.guides import MarkedBlock, marked_blocks
from tests.stack import delete_objects, native

# The fixture builds the whole lake, under the names that the guides use.
pytestmark = pytest.mark.slow

BUILD_LAKE = """
python -m ingestion source generate --rows 1000
python -m ingestion stream capture
python -m ingestion batch
python -m ingestion bronze-tables
python -m ingestion stream wait
(cd dbt_project && dbt build)
python -O -m feast_repo.materialize --apply
"""


def run(script: str, folder: str = ".") -> subprocess.CompletedProcess[str]:
    """Run a script as a user does: after `source infra/activate.sh`, in a folder."""
    prepared = f"source infra/activate.sh\ncd {folder}\n{script}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", prepared],
        cwd=REPO,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )


@pytest.fixture(scope="module")
def lake(stack: dict[str, str]) -> Iterator[dict[str, str]]:
    """The test stack with every layer filled from a generated source."""
    # Other tests may have left dead letters, which `make stream-status` reports as a problem.
    bronze = Bronze(get_settings())
    letters = [letter.key for letter in kept_letters(get_settings(), bronze)]
    delete_objects(bronze.bucket, letters)
    built = run(BUILD_LAKE)
    assert built.returncode == 0, built.stdout[-4000:]
    native("up", "flink")
    yield stack


@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize("block", marked_blocks(), ids=lambda block: block.page.name)
def test_a_marked_block_succeeds(block: MarkedBlock) -> None:
    done = run(block.script, block.folder)
    assert done.returncode == 0, done.stdout[-4000:]
