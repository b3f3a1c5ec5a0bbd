"""The failures of infra that a user can do something about."""

from expected_error import ExpectedError


class LakehouseError(ExpectedError):
    """A service, a download or the machine is not as it must be."""
