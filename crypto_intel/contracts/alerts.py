"""Tables about alerts in the lake: what whole data say of each, and how good each rule is.

What belongs here: what Dagster derives from alerts. What does not: the alerts themselves (events.py on the topic,
serving.py in PostgreSQL), and rules (rules.py).
"""

from __future__ import annotations

from crypto_intel.contracts.columns import Column, Table
from crypto_intel.contracts.parts import EVENT_HOUR, MARKET
from crypto_intel.contracts.parts import column as _c

VERDICTS = ("confirmed", "revised", "withdrawn")

_WHAT: tuple[Column, ...] = (
    _c("alert_id", "string", "Alert."),
    _c("rule", "string", "Rule that fired."),
    _c("severity", "string", "How much it matters."),
    *MARKET,
    _c("window_start", "timestamp", "Start of the window that the rule looked at (event time)."),
    _c("window_end", "timestamp", "End of that window, exclusive (event time)."),
    _c("raised_at", "timestamp", "Platform clock at which it was raised."),
)
ALERT_VERDICTS = Table(
    "alerts",
    "verdicts",
    "Each alert of an hour judged again, by its own rule, on every trade that is known by now.",
    (
        *_WHAT,
        _c("value", "double", "What the rule measured when it fired, in `unit`."),
        _c("unit", "string", "Unit of value, e.g. pct."),
        _c("coverage_pct", "double", "Coverage of its window when it fired; null if unknown.", nullable=True),
        _c("verdict", "string", "confirmed: the same; revised: it fires with another value; withdrawn: it does not "
           "fire; null: ids of its window are still missing, or no market rule raised it.", nullable=True,
           allowed=VERDICTS),
        _c("verdict_value", "double", "What the rule measures now; null where it does not fire.", nullable=True),
        _c("verdict_coverage_pct", "double", "Coverage of its window now; null if unknown.", nullable=True),
        _c("missing_ids", "bigint", "Trade ids of its window that are missing now.", nullable=True, minimum=0),
        _c("trades_version", "bigint", "Version of bronze.trades that was read.", minimum=0),
        _c("judged_at", "timestamp", "Platform clock of the judgement."),
        *EVENT_HOUR,
    ),
    ("alert_id",),
    "dagster",
    ("event_hour",),
    "window_end",
)  # fmt: skip
ALERT_REPORT = Table(
    "alerts",
    "report",
    "How good each rule was on a UTC day: how often it fired, what whole data and people say, and how early it was.",
    (
        _c("event_day", "string", "UTC day as YYYY-MM-DD; the table is partitioned by it."),
        _c("rule", "string", "Rule."),
        _c("alerts", "bigint", "How often it fired.", minimum=0),
        *(_c(verdict, "bigint", f"Of these, {verdict} by whole data.", minimum=0) for verdict in VERDICTS),
        _c("judged_right", "bigint", "Alerts of which most of the people who judged said that they were right.",
           minimum=0),
        _c("judged_wrong", "bigint", "Alerts of which most said that they were wrong.", minimum=0),
        _c("precision_pct", "double", "100 x right / (right + wrong) so far: by people where they judged, else "
           "confirmed and revised count as right, withdrawn as wrong; null without either.", nullable=True, minimum=0,
           maximum=100),
        _c("delay_s_median", "double", "Seconds of the platform clock from the window's end to the alert; below 0: it "
           "was raised before its window ended.", nullable=True),
        _c("lead_s_median", "double", "Seconds from the alert to the extreme price in its direction within the next 30 "
           "minutes; null for rules without one.", nullable=True, minimum=0),
        _c("move_after_pct_median", "double", "How far the price went on in its direction until then, in percent.",
           nullable=True),
    ),
    ("event_day", "rule"),
    "dagster",
    ("event_day",),
    None,
)  # fmt: skip
ALERT_TABLES = (ALERT_VERDICTS, ALERT_REPORT)
