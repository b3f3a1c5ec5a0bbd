"""The failures that a user can do something about.

Each has an exit code that scripts can trust; a traceback is left for bugs.
"""

from typing import ClassVar

from infra.errors import ExpectedError


class IngestionError(ExpectedError):
    """An expected failure, with the exit code of the command."""

    exit_code: ClassVar[int] = 3

    def __str__(self) -> str:
        return self.message  # one line for the log; the command line prints the hint


class SettingsError(IngestionError):
    """A setting, an option or the tables file is wrong."""

    exit_code = 2


class DataError(IngestionError):
    """The data itself cannot be loaded or landed."""

    exit_code = 3


class ServiceError(IngestionError):
    """A service cannot be reached, refuses the login, or broke off."""

    exit_code = 4


class LockedError(IngestionError):
    """Someone else holds what this command needs; trying again later is right."""

    exit_code = 5


class MissingError(IngestionError):
    """A table or column that the command needs does not exist."""

    exit_code = 6
