"""The alert rules in force: a file, and the table public.alert_rules, both of which people change while all runs.

Guarantee: a change is judged by within `POLL_S` and a batch. Rules of the file enter the table; a row that somebody
changed there no longer follows the file. What does not fit, and a database that is away, leave the last rules in force.
Where only a Supabase project's API is known, the rules are the file's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog
from psycopg import sql
from psycopg.rows import dict_row
from pydantic import SecretStr

from crypto_intel.contracts.rules import AlertRule, BadRulesError, load_alert_config, row_of, rule_of
from crypto_intel.contracts.serving import ALERT_RULES
from streaming.errors import FatalError, RetryableError
from streaming.sinks.connection import PostgresConnection
from streaming.transforms.rules.book import Book

POLL_S = 5.0

_NAMES = [name for name in ALERT_RULES.column_names if name not in ("revision", "changed_at")]
_ENTER = sql.SQL(
    "INSERT INTO public.alert_rules AS r ({names}) VALUES ({values}) "
    "ON CONFLICT (rule) DO UPDATE SET {sets} WHERE r.changed_by = 'file'"
).format(
    names=sql.SQL(", ").join(map(sql.Identifier, _NAMES)),
    values=sql.SQL(", ").join(map(sql.Placeholder, _NAMES)),
    sets=sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in _NAMES),
)

log = structlog.get_logger(__name__)


class RuleTable:
    """public.alert_rules. One thread at a time.

    Args:
        dsn: libpq URI; never shown again.
    """

    def __init__(self, dsn: SecretStr) -> None:
        self._database = PostgresConnection(dsn, application="crypto-intel rules")

    def enter(self, rules: Sequence[AlertRule]) -> None:
        """Let rows that follow the file be these rules; rows that somebody changed stay.

        Raises:
            RetryableError: PostgreSQL is away.
            FatalError: it refused.
        """
        rows = [{**row_of(rule), "changed_by": "file"} for rule in rules]
        with self._database.transaction() as connection:
            connection.cursor().executemany(_ENTER, rows)
            connection.execute(
                "DELETE FROM public.alert_rules WHERE changed_by = 'file' AND NOT rule = ANY(%s)",
                ([rule.name for rule in rules],),
            )

    def read(self) -> list[AlertRule]:
        """The rules, by name.

        Raises:
            BadRulesError: a row does not fit.
            RetryableError: PostgreSQL is away.
            FatalError: it refused.
        """
        with self._database.transaction() as connection, connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute("SELECT * FROM public.alert_rules ORDER BY rule").fetchall()
        return [rule_of(row) for row in rows]

    def close(self) -> None:
        """Let the connection go."""
        self._database.close()


class RulesInForce:
    """What to judge by, now.

    Args:
        path: file of rules; None: the one that comes with the project.
        table: where people change them; None: nowhere.
        clock: seconds, for tests.

    Raises:
        FatalError: the file does not fit.
    """

    def __init__(self, path: Path | None, table: RuleTable | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._table = table
        self._clock = clock
        self._looked_at: float | None = None
        self._file_state = self._state_of_file()
        try:
            self._of_file = load_alert_config(path).rules
        except BadRulesError as error:
            raise FatalError(str(error)) from None
        self._is_entered = False
        self._rules: tuple[AlertRule, ...] = self._of_file
        self._book = Book.of_rules(self._rules)

    def book(self) -> Book:
        """The rules; file and table are looked at every POLL_S at most."""
        now = self._clock()
        if self._looked_at is None or now - self._looked_at >= POLL_S:
            self._looked_at = now
            self._look()
        return self._book

    def _look(self) -> None:
        try:
            self._read_file_again()
            rules = self._of_file if self._table is None else tuple(self._exchange(self._table))
        except (RetryableError, FatalError, BadRulesError) as error:
            log.warning("alert rules stay as they were", reason=str(error))
            return
        if rules != self._rules:
            self._rules, self._book = rules, Book.of_rules(rules)
            log.info("alert rules changed", rules=[rule.name for rule in self._book.rules])

    def _read_file_again(self) -> None:
        state = self._state_of_file()
        if state != self._file_state:
            self._file_state = state  # said once, not at each look
            self._of_file = load_alert_config(self._path).rules
            self._is_entered = False

    def _exchange(self, table: RuleTable) -> list[AlertRule]:
        if not self._is_entered:
            table.enter(self._of_file)
            self._is_entered = True
        return table.read()

    def _state_of_file(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat() if self._path else None
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_size) if found else None
