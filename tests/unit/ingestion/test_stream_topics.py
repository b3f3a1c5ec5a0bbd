"""A table's topic has the name that Debezium gives it."""

from typing import Any

import pytest

from ingestion.errors import SettingsError
from ingestion.settings import Settings
from ingestion.stream.status_reporter import StatusReporter
from ingestion.stream.topics import dead_letter_topic, topic_of
from ingestion.tables import Table


@pytest.fixture
def settings() -> Any:
    return Settings.model_construct(stream_topic_prefix="loans")


@pytest.mark.parametrize(
    ("source", "topic"),
    [
        ("public.loan_applications", "loans.public.loan_applications"),
        ("Public.Loans", "loans.public.loans"),
        ("loans", "loans.public.loans"),
        ('"Sales".loans', "loans.Sales.loans"),
        ('s."Übung ""x"" a.b"', "loans.s._bung__x__a.b"),
    ],
)
def test_the_name(settings: Any, source: str, topic: str) -> None:
    assert topic_of(settings, Table(name="t", source=source, key=("id",))) == topic


@pytest.mark.parametrize("source", ["a.b.c", "", "a b", '"a', "a."])
def test_what_is_no_name_of_a_table(settings: Any, source: str) -> None:
    with pytest.raises(SettingsError, match="is not the name of a table"):
        topic_of(settings, Table(name="t", source=source, key=("id",)))


def test_dead_letters_have_a_topic_of_their_own(settings: Any) -> None:
    assert dead_letter_topic(settings) == "loans.dead_letters"


def test_a_failure_and_its_recovery_are_reported_once() -> None:
    printed: list[str] = []
    status = StatusReporter(printed.append, "fails", "works again", patience=2)
    status.works()
    status.failed("blip", 1)
    status.works()
    assert printed == []
    for tries in range(1, 5):
        status.failed("away", tries)
    for _ in range(3):
        status.works()
    assert printed == ["fails: away", "works again"]
