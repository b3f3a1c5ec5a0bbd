"""The one exception that a user sees: what happened, and what to do next."""


class LakehouseError(Exception):
    def __init__(self, what: str, then: str) -> None:
        super().__init__(f"{what}\n  -> {then}")
