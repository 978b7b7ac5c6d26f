"""What assets ask for by themselves: once for each cause, and not while what they wait for is under way."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from crypto_intel.automation.conditions import CONDITION_SENSORS
from crypto_intel.automation.jobs import WEIGHT
from crypto_intel.contracts.alerts import ALERT_REPORT, ALERT_VERDICTS
from crypto_intel.contracts.derived import GOLD_BARS_1D, GOLD_BARS_1H, GOLD_REPAIRED_BARS_1M
from crypto_intel.contracts.macro import MACRO_FEATURES, MACRO_FRED_AS_OF
from crypto_intel.contracts.tables import GOLD_BARS_1M
from crypto_intel.core.hours import HOUR, event_hour
from crypto_intel.definitions import build_defs
from crypto_intel.graph.specs import CLOSED_DAYS, REACHED_YEARS, key_of
from crypto_intel.operations.alerting import ALERT_KEY

pytestmark = pytest.mark.stack

NOW = datetime.now(UTC)  # events carry the real time, and conditions compare it with that of their looks
OLD = NOW - timedelta(days=100)
LAST_HOUR, THIS_HOUR, OLD_HOUR = event_hour(NOW - HOUR), event_hour(NOW), f"{OLD:%Y-%m-%d}-07"
YESTERDAY, OLD_DAY = f"{NOW - timedelta(days=1):%Y-%m-%d}", f"{OLD:%Y-%m-%d}"
VERDICTS, REPORT, DAY = key_of(ALERT_VERDICTS), key_of(ALERT_REPORT), key_of(GOLD_BARS_1D)
SERVED_DAY = dg.AssetKey(["publish", "bars_1d"])
AS_OF, FEATURES = key_of(MACRO_FRED_AS_OF), key_of(MACRO_FEATURES)
SERVED_FEATURES, RETENTION = dg.AssetKey(["publish", "macro_features"]), dg.AssetKey(["publish", "retention"])
MINUTES, REPAIRED, HOURS = key_of(GOLD_BARS_1M), key_of(GOLD_REPAIRED_BARS_1M), key_of(GOLD_BARS_1H)

Asked = dict[str, set[str | None]]


@pytest.fixture(scope="module")
def graph() -> dg.Definitions:
    """The whole graph; nothing of it is run."""
    return build_defs()


class Days:
    """Looks at the conditions as the sensors do, one after the other, in a log of its own."""

    def __init__(self, graph: dg.Definitions, instance: dg.DagsterInstance) -> None:
        self.graph, self.instance = graph, instance
        self._cursor: object | None = None
        self.ahead = timedelta()
        self.look()  # the first look remembers, and asks for nothing

    def look(self) -> Asked:
        """What is asked for now, by asset."""
        now = datetime.now(UTC) + self.ahead
        done = dg.evaluate_automation_conditions(
            self.graph,
            self.instance,
            evaluation_time=now,
            cursor=self._cursor,  # type: ignore[arg-type]
        )
        self._cursor = done.cursor
        return {
            result.key.to_user_string(): set(done.get_requested_partitions(result.key))
            for result in done.results
            if isinstance(result.key, dg.AssetKey) and done.get_requested_partitions(result.key)
        }

    def made(self, key: dg.AssetKey, partition: str | None = None) -> None:
        """An asset is made by a run of its own, or reported by a sensor."""
        self.instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=partition))

    def begun(self, key: dg.AssetKey, partition: str) -> dg.DagsterRun:
        """A run that is to make a partition is under way."""
        job = self.graph.resolve_implicit_global_asset_job_def()
        return self.instance.create_run_for_job(
            job.get_subset(asset_selection={key}),
            asset_selection=frozenset({key}),
            tags={"dagster/partition": partition},
            status=dg.DagsterRunStatus.STARTED,
        )


@pytest.fixture
def days(graph: dg.Definitions) -> Iterator[Days]:
    """Before anything has happened."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield Days(graph, instance)


def asked(*keys: dg.AssetKey, of: str | None) -> Asked:
    return {key.to_user_string(): {of} for key in keys}


def test_the_first_look_asks_for_nothing_however_much_is_missing(days: Days) -> None:
    assert days.look() == {}


def test_verdicts_are_asked_once_when_the_bars_of_their_hour_are_made(days: Days) -> None:
    days.made(MINUTES, LAST_HOUR)
    assert days.look() == asked(VERDICTS, of=LAST_HOUR)
    assert days.look() == {}
    days.made(VERDICTS, LAST_HOUR)
    assert days.look() == {}


def test_an_hour_that_is_made_again_or_repaired_is_judged_again(days: Days) -> None:
    for key, hour in ((MINUTES, LAST_HOUR), (MINUTES, LAST_HOUR), (MINUTES, OLD_HOUR), (REPAIRED, THIS_HOUR)):
        days.made(key, hour)
        assert days.look() == asked(VERDICTS, of=hour)
        days.made(VERDICTS, hour)
        assert days.look() == {}


def test_an_alert_that_comes_behind_its_hours_verdicts_is_judged_too(days: Days) -> None:
    days.made(ALERT_KEY, LAST_HOUR)
    assert (days.look(), days.look()) == ({}, {})  # its hour is not made yet, and will judge it
    days.made(MINUTES, LAST_HOUR)
    assert days.look() == asked(VERDICTS, of=LAST_HOUR)
    days.made(VERDICTS, LAST_HOUR)
    assert days.look() == {}
    days.made(ALERT_KEY, LAST_HOUR)
    assert days.look() == asked(VERDICTS, of=LAST_HOUR)
    assert days.look() == {}
    days.made(ALERT_KEY, THIS_HOUR)
    assert (days.look(), days.look()) == ({}, {})


def test_what_waits_for_a_run_under_way_is_asked_when_that_has_ended(days: Days) -> None:
    days.made(MINUTES, LAST_HOUR)
    run = days.begun(MINUTES, LAST_HOUR)  # to be made again
    assert days.look() == {}
    days.instance.report_run_canceled(run)
    assert days.look() == asked(VERDICTS, of=LAST_HOUR)


def test_what_comes_while_an_asset_is_made_is_asked_behind_it(days: Days) -> None:
    days.made(MINUTES, LAST_HOUR)
    assert days.look() == asked(VERDICTS, of=LAST_HOUR)
    run = days.begun(VERDICTS, LAST_HOUR)
    days.made(ALERT_KEY, LAST_HOUR)
    assert days.look() == {}
    days.made(VERDICTS, LAST_HOUR)
    days.instance.report_run_canceled(run)
    assert days.look() == asked(VERDICTS, of=LAST_HOUR)
    assert days.look() == {}


def test_a_day_is_made_served_and_reported_together_once_it_is_closed(days: Days) -> None:
    days.made(HOURS, f"{YESTERDAY}-23")
    assert days.look() == {}  # its last hour alone closes no day
    days.made(CLOSED_DAYS, YESTERDAY)
    assert days.look() == asked(DAY, SERVED_DAY, REPORT, of=YESTERDAY)
    assert days.look() == {}


def make_day(days: Days, day: str) -> None:
    """A day and what follows it, as its run makes them."""
    for key in (DAY, SERVED_DAY, REPORT):
        days.made(key, day)
    days.look()
    for key in (DAY, SERVED_DAY, REPORT):
        days.made(key, day)
    while days.look():
        pass


def test_an_old_hour_that_is_made_again_has_its_day_made_again_and_no_day_that_was_never_made(days: Days) -> None:
    make_day(days, OLD_DAY)
    days.made(HOURS, OLD_HOUR)
    assert days.look() == asked(DAY, SERVED_DAY, REPORT, of=OLD_DAY)  # the day behind it reads the hour and is not made
    assert days.look() == {}


def test_a_backfill_of_old_hours_has_each_day_made_again_when_the_last_of_them_is_done(days: Days) -> None:
    make_day(days, OLD_DAY)
    run = days.begun(HOURS, f"{OLD_DAY}-09")
    days.made(HOURS, f"{OLD_DAY}-08")
    assert days.look() == {}
    days.made(HOURS, f"{OLD_DAY}-09")
    days.instance.report_run_canceled(run)
    assert days.look() == asked(DAY, SERVED_DAY, REPORT, of=OLD_DAY)
    assert days.look() == {}


def test_a_report_follows_verdicts_of_a_day_that_has_one(days: Days) -> None:
    make_day(days, OLD_DAY)
    days.made(VERDICTS, OLD_HOUR)
    days.made(VERDICTS, f"{YESTERDAY}-20")
    assert days.look() == asked(REPORT, of=OLD_DAY)
    assert days.look() == {}


def test_reports_of_the_last_days_are_made_again_each_night_and_rows_dropped(days: Days) -> None:
    make_day(days, OLD_DAY)
    make_day(days, YESTERDAY)
    days.ahead = (NOW + timedelta(days=1)).replace(hour=3, minute=0) - datetime.now(UTC)
    days.look()  # an earlier night may lie between
    days.ahead += timedelta(minutes=30)
    assert days.look() == {RETENTION.to_user_string(): {None}}
    days.ahead += timedelta(minutes=20)
    assert days.look() == asked(REPORT, of=YESTERDAY)
    assert days.look() == {}


def test_years_that_observations_reach_are_known_anew_once_and_together(days: Days) -> None:
    for year in ("2024", "2025"):
        days.made(REACHED_YEARS, year)
    together = {key.to_user_string(): {"2024", "2025"} for key in (AS_OF, FEATURES, SERVED_FEATURES)}
    assert days.look() == together
    for key in (AS_OF, FEATURES, SERVED_FEATURES):
        for year in ("2024", "2025"):
            days.made(key, year)
    assert days.look() == {}


def test_features_follow_what_was_known_whoever_made_it(days: Days) -> None:
    days.made(AS_OF, "1999")
    assert days.look() == asked(FEATURES, SERVED_FEATURES, of="1999")
    assert days.look() == {}


def test_every_condition_is_looked_at_by_one_sensor_and_no_job_of_a_sensor_makes_its_asset(
    graph: dg.Definitions,
) -> None:
    repository = graph.get_repository_def()
    with_one = {
        key
        for key in repository.asset_graph.materializable_asset_keys
        if repository.asset_graph.get(key).automation_condition
    }
    looked_at = [sensor.asset_selection.resolve(repository.asset_graph) for sensor in CONDITION_SENSORS]
    assert set().union(*looked_at) == with_one and sum(map(len, looked_at)) == len(with_one)
    assert [sensor.run_tags[WEIGHT] for sensor in CONDITION_SENSORS] == ["light", "heavy"]
    assert all("dagster/max_runtime" in sensor.run_tags for sensor in CONDITION_SENSORS)
    for sensor in repository.sensor_defs:
        for target in sensor.targets if sensor not in CONDITION_SENSORS else []:
            layer = repository.get_job(target.job_name).asset_layer
            assert not with_one & set(layer.executable_asset_keys), f"{sensor.name} makes what a condition asks for"
