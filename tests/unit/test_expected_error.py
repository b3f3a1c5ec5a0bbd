"""Errors that carry a hint: one base class, and what each folder prints of it."""

import pickle

import pytest

from feast_repo.store import FeastRepoError
from infra.errors import ExpectedError, LakehouseError
from ingestion.errors import SettingsError
from ml.errors import MlError


@pytest.mark.parametrize("kind", [FeastRepoError, LakehouseError, MlError, SettingsError])
def test_an_error_keeps_message_and_hint_between_processes(kind: type[ExpectedError]) -> None:
    error = pickle.loads(pickle.dumps(kind("it failed", "`make up`")))  # noqa: S301
    assert (error.message, error.hint) == ("it failed", "`make up`")


def test_an_error_prints_its_hint_if_it_has_one() -> None:
    assert str(LakehouseError("it failed", "`make up`")) == "it failed\n  -> `make up`"
    assert str(ExpectedError("it failed")) == "it failed"


def test_an_error_of_ingestion_is_one_line_of_a_log() -> None:
    assert str(SettingsError("it failed", "correct it")) == "it failed"
