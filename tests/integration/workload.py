"""Random concurrent transactions on the source's table: what silver has to get right.

Inserts, updates, deletes, changed keys, TRUNCATE, rollbacks, savepoints, and
transactions that stay open while others come and go. No row breaks a rule of silver's.
"""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg2
from psycopg2 import extensions

from ingestion.postgres import connect_owner
from ingestion.settings import Settings

KEYS = 150
# What is written follows from the score, so that an update changes the segment, too.
AMOUNT, STATUS = "%(score)s * 10", "%(score)s %% 2"
PURPOSE = "(array['MEDICAL', 'VENTURE', 'EDUCATION'])[1 + %(score)s %% 3]"
INSERT = (
    "insert into loan_applications select %(key)s, 30, 'female', 'Master', 60000, 5, 'RENT',"
    f" {AMOUNT}, {PURPOSE}, 11, 0.17, 4, %(score)s, 'No', {STATUS}, clock_timestamp(),"
    " clock_timestamp() on conflict do nothing"
)
UPDATE = (
    f"update loan_applications set credit_score = %(score)s, loan_amnt = {AMOUNT},"
    f" loan_intent = {PURPOSE}, loan_status = {STATUS}, updated_at = clock_timestamp()"
    " where application_id = %(key)s"
)
CHANGE_KEY = (
    "update loan_applications set application_id = %s, updated_at = clock_timestamp()"
    " where application_id = %s and not exists"
    " (select 1 from loan_applications where application_id = %s)"
)
DELETE = "delete from loan_applications where application_id = %s"


class Writer(threading.Thread):
    """One session that writes until it is stopped."""

    def __init__(self, settings: Settings, seed: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._settings = settings
        self._random = random.Random(seed)
        self._stop_writing = stop
        self.transactions = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        connection = connect_owner(self._settings, "workload")
        try:
            while not self._stop_writing.is_set():
                # Two writers may wait for each other, or want one key: PostgreSQL ends one.
                with suppress(psycopg2.errors.DeadlockDetected, psycopg2.errors.UniqueViolation):
                    self._transaction(connection)
                connection.rollback()
                self.transactions += 1
        except BaseException as error:
            self.error = error
        finally:
            connection.close()

    def _transaction(self, connection: extensions.connection) -> None:
        dice = self._random
        with connection.cursor() as cursor:
            if dice.random() < 0.01:
                with suppress(psycopg2.errors.LockNotAvailable):
                    cursor.execute("set local lock_timeout = '2s'; truncate loan_applications")
                    connection.commit()
                return
            for _ in range(dice.choice((1, 1, 1, 2, 5, 20))):
                self._change(cursor)
                if dice.random() < 0.15:
                    self._savepoint(cursor)
                # Long ones straddle the snapshots and the flushes of the others.
                time.sleep(dice.choice((0, 0, 0, 0.01, 0.3)))
            if dice.random() < 0.85:
                connection.commit()

    def _savepoint(self, cursor: extensions.cursor) -> None:
        cursor.execute("savepoint here")
        self._change(cursor)
        cursor.execute(self._random.choice(("rollback to here", "release here")))

    def _change(self, cursor: extensions.cursor) -> None:
        dice = self._random
        key, score = dice.randrange(KEYS), dice.randrange(300, 851)
        kind = dice.random()
        if kind < 0.35:
            cursor.execute(INSERT, {"key": key, "score": score})
        elif kind < 0.75:
            cursor.execute(UPDATE, {"key": key, "score": score})
        elif kind < 0.85:
            other = dice.randrange(KEYS)
            cursor.execute(CHANGE_KEY, (other, key, other))
        else:
            cursor.execute(DELETE, (key,))


@contextmanager
def writers(settings: Settings, seed: int, count: int = 6) -> Iterator[list[Writer]]:
    """Let `count` sessions write during the block; raises what one of them raised."""
    stop = threading.Event()
    sessions = [Writer(settings, seed * 100 + n, stop) for n in range(count)]
    for session in sessions:
        session.start()
    try:
        yield sessions
    finally:
        stop.set()
        for session in sessions:
            session.join()
    for session in sessions:
        if session.error:
            raise session.error
