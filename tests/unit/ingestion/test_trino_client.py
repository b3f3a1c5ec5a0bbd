"""Every error of Trino's client is reported in one line."""

from collections.abc import Callable
from typing import Any

import pytest
import requests
from trino import exceptions

from ingestion.errors import IngestionError, MissingError, ServiceError
from ingestion.settings import Settings
from ingestion.trino_client import Trino


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], Trino]:
    """Makes a client whose every query fails with the given error."""

    def make(error: Exception) -> Trino:
        def cursor(*_: Any) -> Any:
            raise error

        trino = Trino(Settings.model_construct(trino_host="h", trino_port=1, trino_user="u"))
        monkeypatch.setattr(trino._connection, "cursor", cursor)
        return trino

    return make


@pytest.mark.parametrize(
    ("error", "complaint"),
    [
        (exceptions.Http503Error("error 503: busy\nmore"), "at h:1: error 503: busy"),
        (exceptions.Http502Error(), "at h:1: Http502Error"),
        (exceptions.HttpError("error 500"), "at h:1: error 500"),
        (exceptions.TrinoConnectionError(""), "at h:1: TrinoConnectionError"),
        (requests.ReadTimeout("slow"), "at h:1: slow"),
        (ConnectionResetError(), "at h:1: ConnectionResetError"),
        (exceptions.TrinoInternalError({"message": "bad\nmore"}), "Trino: bad"),
        (exceptions.TrinoInternalError({"message": "", "errorName": "OOM"}), "Trino: OOM"),
    ],
)
def test_a_failure_of_the_service_is_one_line(
    failing: Callable[[Exception], Trino], error: Exception, complaint: str
) -> None:
    with pytest.raises(ServiceError) as failure:
        failing(error).query("SELECT 1")
    assert failure.value.message.endswith(complaint)
    assert failure.value.hint


@pytest.mark.parametrize(
    ("name", "kind"), [("TABLE_NOT_FOUND", MissingError), ("SYNTAX_ERROR", IngestionError)]
)
def test_a_failure_of_the_query_is_one_line(
    failing: Callable[[Exception], Trino], name: str, kind: type[IngestionError]
) -> None:
    error = exceptions.TrinoUserError({"message": None, "errorName": name})
    with pytest.raises(kind, match=f"^Trino: {name}$"):
        failing(error).query("SELECT 1")
