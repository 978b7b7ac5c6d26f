"""A watch lasts while somebody looks, and begins anew where nobody did."""

from datetime import UTC, datetime, timedelta

from crypto_intel.core.incidents import SILENT_AFTER, stream_conditions
from crypto_intel.core.watch import Watch, look

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
BREAK = 45 * SECOND


def looks(*seconds: int, began_s: int = 0) -> Watch:
    """Looks so many seconds after noon, by a watcher that began at `began_s`."""
    watch: Watch | None = None
    for each in seconds:
        watch = look(watch, NOON + each * SECOND, began_at=NOON + began_s * SECOND, break_after=BREAK)
    assert watch is not None
    return watch


def test_a_watch_lasts_from_its_first_look() -> None:
    assert looks(0).lasted() == 0 * SECOND
    assert looks(0, 15, 30, 45, 60).lasted() == 60 * SECOND


def test_a_pause_of_looking_begins_the_watch_anew() -> None:
    assert looks(0, 15, 60, 75).lasted() == 15 * SECOND
    assert looks(0, 15, 59, 75).lasted() == 75 * SECOND


def test_what_another_process_saw_is_another_watch() -> None:
    seen = looks(0, 15, 30)
    after = look(seen, NOON + 40 * SECOND, began_at=NOON + 35 * SECOND, break_after=BREAK)
    assert after == Watch(NOON + 40 * SECOND, NOON + 40 * SECOND)


def test_a_query_is_silent_for_certain_once_it_was_watched_as_long() -> None:
    """Its last report is an hour old, since the platform was stopped."""
    reports = [{"query": "ingest", "updated_at": NOON - 3600 * SECOND, "lag_records": 0, "lag_s": 0}]
    bound_s = int(SILENT_AFTER.total_seconds())
    (early,) = stream_conditions(reports, looks(*range(0, bound_s, 15)))
    (late,) = stream_conditions(reports, looks(*range(0, bound_s + 1, 15)))
    assert (early.is_certain, late.is_certain) == (False, True)
    assert (early.key, late.key) == ("silent:ingest",) * 2
    reported = [{**reports[0], "updated_at": NOON + 10 * SECOND}]
    assert list(stream_conditions(reported, looks(*range(0, bound_s + 1, 15)))) == []
