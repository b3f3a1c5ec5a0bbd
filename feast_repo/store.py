"""The feature store of a stack, opened, and Trino as Feast reads it."""

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import psycopg
import trino
from click import ClickException
from dotenv import load_dotenv
from feast import FeatureStore, FeatureView
from feast.errors import FeastObjectNotFoundException
from rich.console import Console
from rich.markup import escape

from feast_repo.typed_postgres import TypedPostgresOnlineStore
from infra.errors import ExpectedError

if TYPE_CHECKING:  # it takes long to import, and reading online does without
    from feast.infra.offline_stores.contrib.trino_offline_store.trino_source import TrinoSource

REPO = Path(__file__).resolve().parent

# Feast's own use of pandas, nothing that a reader here can change.
warnings.filterwarnings("ignore", category=FutureWarning, module="feast")


class FeastRepoError(ExpectedError):
    """The feature store, or what it is made from, is not as it must be."""


def open_store() -> FeatureStore:
    """The feature store of the stack that ENV_FILE or .env names.

    Tests name a repository of their own by FEAST_REPO.
    """
    load_dotenv(REPO.parent / os.environ.get("ENV_FILE", ".env"))
    return FeatureStore(repo_path=os.environ.get("FEAST_REPO", str(REPO)))


def gold_views(store: FeatureStore) -> list[FeatureView]:
    """The feature views over gold whose rows are online. Raises FeastRepoError if there is none."""
    try:
        views = [view for view in store.list_feature_views() if view.online]
    except FeastObjectNotFoundException:
        views = []
    if not views:
        raise FeastRepoError("no features are registered", "`feast apply`, in feast_repo")
    return sorted(views, key=lambda view: str(view.name))


def source_of(view: FeatureView) -> "TrinoSource":
    """The view's source, the history; gold's views have one on Trino."""
    return cast("TrinoSource", view.batch_source)


def current_table(view: FeatureView) -> str:
    """The gold table of what holds now."""
    return str(source_of(view).tags["current"])


def online_store(store: FeatureStore) -> TypedPostgresOnlineStore:
    return cast(TypedPostgresOnlineStore, store._get_provider().online_store)


def online_store_answers(store: FeatureStore) -> bool:
    try:
        with online_store(store).connection(store.config) as connection:
            connection.execute("select 1")
    except psycopg.Error:
        return False
    return True


def use_database_user(prefix: str) -> None:
    """Have Feast connect to PostgreSQL as the user of ``<prefix>_USER`` and ``<prefix>_PASSWORD``.

    Before `open_store`, which reads the environment.
    """
    for name in ("USER", "PASSWORD"):
        os.environ[f"FEAST_DB_{name}"] = os.environ[f"{prefix}_{name}"]


@contextmanager
def trino_cursor(store: FeatureStore) -> Iterator[trino.dbapi.Cursor]:
    """A cursor with Feast's own address and user; numbers and texts only, as Trino sends them."""
    config = store.config.offline_store
    with trino.dbapi.connect(
        host=config.host,
        port=config.port,
        user=config.user,
        source=config.source,
        legacy_primitive_types=True,
    ) as connection:
        yield connection.cursor()


def run(command: Callable[[Console], int]) -> None:
    """Run a command and exit with its code; what a user can correct is one message."""
    try:
        code = command(Console(highlight=False))
    except (
        FeastRepoError,
        ClickException,
        psycopg.Error,
        trino.exceptions.Error,
        OSError,
    ) as error:
        message = escape(str(error).strip())
        Console(stderr=True, highlight=False).print(f"[red]error:[/] {message}", soft_wrap=True)
        code = 1
    sys.exit(code)
