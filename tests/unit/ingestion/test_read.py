"""What the driver raises says whether the data or the service is at fault."""

import adbc_driver_manager
import pytest

from ingestion.batch.read import _plain_errors
from ingestion.errors import DataError, IngestionError, LockedError, MissingError, ServiceError


def driver_error(sqlstate: str | None) -> adbc_driver_manager.Error:
    return adbc_driver_manager.Error(
        "IO: [libpq] could not begin COPY: ERROR:  it broke\nLINE 1",
        status_code=1,
        sqlstate=sqlstate,
    )


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (driver_error("22012"), DataError),  # division by zero
        (driver_error("23514"), DataError),  # check violation
        (driver_error("53100"), ServiceError),  # disk full
        (driver_error("53200"), ServiceError),  # out of memory
        (driver_error("40001"), ServiceError),  # conflict with recovery
        (driver_error("XX000"), ServiceError),
        (driver_error("42501"), MissingError),  # permission denied
        (driver_error(None), ServiceError),
        (driver_error("55P03"), LockedError),
        (OSError("[libpq] Execution error [PGRES_FATAL_ERROR]: ERROR:  it broke\n"), ServiceError),
    ],
)
def test_the_sqlstate_decides(error: Exception, kind: type[IngestionError]) -> None:
    with pytest.raises(IngestionError) as failure, _plain_errors("t", "reader"):
        raise error
    assert type(failure.value) is kind
    assert failure.value.message == "reading t: it broke"
    assert failure.value.hint
