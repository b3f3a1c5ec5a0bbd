"""What services refuse or break off becomes one sentence that says what to do."""

import psycopg
import pytest
import requests
import sqlalchemy.exc
import trino
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import EndpointConnectionError

from ml.errors import MlError
from ml.service_errors import AGAIN, service_errors_as_ml_errors

NO_TABLE = {"errorType": "USER_ERROR", "errorName": "TABLE_NOT_FOUND", "message": "no table"}


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (trino.exceptions.TrinoUserError(NO_TABLE), "Trino refuses: no table", "`dbt build`"),
        (trino.exceptions.TrinoConnectionError("refused"), "Trino failed: refused", AGAIN),
        (requests.ConnectionError("refused"), "Trino failed: refused", AGAIN),
        (psycopg.OperationalError("gone\naway"), "PostgreSQL failed: gone away", AGAIN),
        (sqlalchemy.exc.OperationalError("select 1", {}, Exception("gone")), "PostgreSQL", AGAIN),
        (EndpointConnectionError(endpoint_url="http://x"), "MinIO failed: Could not", AGAIN),
        (S3UploadFailedError("failed to upload"), "MinIO failed: failed to upload", AGAIN),
    ],
)
def test_a_service_error_is_a_sentence(error: Exception, message: str, hint: str) -> None:
    with pytest.raises(MlError) as raised, service_errors_as_ml_errors():
        raise error
    assert raised.value.message.startswith(message)
    assert "\n" not in raised.value.message
    assert raised.value.hint.startswith(hint)


def test_a_bug_stays_one() -> None:
    with pytest.raises(KeyError), service_errors_as_ml_errors():
        raise KeyError("a name")
