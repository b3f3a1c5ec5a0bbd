"""What a service refuses, or breaks off, as one sentence that says what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import requests
import trino
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from sqlalchemy.exc import SQLAlchemyError

from ml.errors import MlError

AGAIN = "`make status` shows what runs; then run it again"


@contextmanager
def service_errors_as_ml_errors() -> Iterator[None]:
    """Let errors of Trino, PostgreSQL and MinIO leave the block as MlError."""
    try:
        yield
    except trino.exceptions.TrinoUserError as error:
        raise MlError(f"Trino refuses: {error.message}", "`dbt build` makes the tables") from None
    except (trino.exceptions.Error, requests.RequestException) as error:
        raise MlError(f"Trino failed: {one_line(error)}", AGAIN) from None
    except (psycopg.Error, SQLAlchemyError) as error:
        raise MlError(f"PostgreSQL failed: {one_line(error)}", AGAIN) from None
    except (Boto3Error, BotoCoreError, ClientError) as error:
        raise MlError(f"MinIO failed: {one_line(error)}", AGAIN) from None


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())
