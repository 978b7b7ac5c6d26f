"""The API's endpoints as methods, stated once for both clients.

What belongs here: what is asked for and what it means. What does not: sending (client.py). Each method makes an `Ask`
or a `Call` and hands it to `_frame`, `_object` or `_send`, which give a frame or an object, or an awaitable of one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Generic, Literal, TypeVar

from crypto_intel.client.requests import Ask, Call, Interval, Moment, listed, text

FrameT = TypeVar("FrameT")
ObjectT = TypeVar("ObjectT")
RankBy = Literal["change_24h_pct", "change_1h_pct", "volume_24h_quote"]


class Endpoints(ABC, Generic[FrameT, ObjectT]):
    """Every read and act of the API.

    Raises:
        ApiError: the API refused; of any method.
        httpx.TransportError: it does not answer.
    """

    @abstractmethod
    def _frame(self, wanted: Ask) -> FrameT:
        """Rows, pages followed."""

    @abstractmethod
    def _object(self, wanted: Call) -> ObjectT:
        """One object."""

    def bars(
        self,
        symbol: str,
        *,
        interval: Interval = "1m",
        start: Moment | None = None,
        end: Moment | None = None,
        venue: str | None = None,
        rows: int | None = None,
    ) -> FrameT:
        """Bars in [start, end), all in order of time; or `rows` of them, the newest first where no start is given."""
        return self._frame(listed("/bars", rows, symbol=symbol, interval=interval, start=start, end=end, venue=venue))

    def indicators(
        self,
        symbol: str,
        *,
        interval: Literal["1m", "5m", "1h"] = "5m",
        start: Moment | None = None,
        end: Moment | None = None,
        venue: str | None = None,
        rows: int | None = None,
    ) -> FrameT:
        """RSI, MACD, Bollinger bands and more of the bars of 1m, 5m or 1h; columns of the contract's indicators."""
        return self._frame(
            listed("/indicators", rows, symbol=symbol, interval=interval, start=start, end=end, venue=venue)
        )

    def enriched(
        self,
        symbol: str,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        venue: str | None = None,
        rows: int | None = None,
        final_only: bool = False,
    ) -> FrameT:
        """Minutes with news and macro values as known then: columns of market_enriched."""
        return self._frame(
            listed("/enriched", rows, symbol=symbol, start=start, end=end, venue=venue, final_only=final_only)
        )

    def as_of(self, symbol: str, venue: str, window_start: Moment, known_by: Moment) -> ObjectT:
        """The enriched row of a minute as it was known at a moment."""
        given = {"symbol": symbol, "venue": venue, "window_start": window_start, "known_by": known_by}
        return self._object(Call("/as-of", params=given))

    def news(
        self,
        *,
        asset: str | None = None,
        words: str | None = None,
        sentiment_min: float | None = None,
        sentiment_max: float | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        rows: int | None = 100,
    ) -> FrameT:
        """Articles; the newest first where no start is given."""
        mood = {"sentiment_min": sentiment_min, "sentiment_max": sentiment_max}
        return self._frame(listed("/news", rows, asset=asset, q=words, start=start, end=end, **mood))

    def alerts(
        self,
        *,
        symbol: str | None = None,
        state: str | None = None,
        rule: str | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        rows: int | None = 100,
    ) -> FrameT:
        """Alerts; the newest first where no start is given."""
        return self._frame(listed("/alerts", rows, symbol=symbol, state=state, rule=rule, start=start, end=end))

    def alert(self, alert_id: str) -> ObjectT:
        """One alert with everything that people did with it."""
        return self._object(Call(f"/alerts/{alert_id}"))

    def gaps(
        self,
        *,
        symbol: str | None = None,
        venue: str | None = None,
        state: str | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        rows: int | None = 100,
    ) -> FrameT:
        """The ledger of gaps; the newest first where no start is given."""
        return self._frame(listed("/gaps", rows, symbol=symbol, venue=venue, state=state, start=start, end=end))

    def completeness(
        self,
        *,
        symbol: str | None = None,
        venue: str | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> FrameT:
        """How complete each hour is; without a range the newest day."""
        given = {"symbol": symbol, "venue": venue, "start": start, "end": end}
        return self._frame(Ask("/completeness", given, is_paged=False))

    def macro(
        self, series: str, *, as_of: Moment | None = None, start: Moment | None = None, end: Moment | None = None
    ) -> FrameT:
        """A macro series as it could be used on a day."""
        return self._frame(listed(f"/macro/{series}", None, as_of=as_of, start=start, end=end))

    def macro_series(self) -> FrameT:
        """Which macro series there are."""
        return self._frame(Ask("/macro", is_paged=False))

    def prices(self, *, venue: str | None = None) -> FrameT:
        """The newest state of each market."""
        return self._frame(Ask("/prices", {"venue": venue}, is_paged=False))

    def symbols(self) -> FrameT:
        """Every market."""
        return self._frame(Ask("/symbols", is_paged=False))

    def ranking(self, *, by: RankBy = "change_24h_pct", ascending: bool = False, rows: int = 5) -> FrameT:
        """Markets in order of a change or of volume."""
        return self._frame(Ask("/ranking", {"by": by, "ascending": ascending, "limit": rows}, is_paged=False))

    def lineage(self, alert_id: str) -> ObjectT:
        """Where an alert comes from: enriched rows, bars, Kafka records."""
        return self._object(Call(f"/lineage/{alert_id}"))

    def predictions(
        self,
        *,
        model: str | None = None,
        symbol: str | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        rows: int | None = None,
    ) -> FrameT:
        """One's own predictions beside what became true; needs the scope `predictions`."""
        return self._frame(listed("/predictions", rows, model=model, symbol=symbol, start=start, end=end))

    def predict(self, predictions: Sequence[Mapping[str, object]]) -> ObjectT:
        """Keep predictions before they can be known, at most 50; needs the scope `predictions`.

        Args:
            predictions: each with model, venue, symbol, measure (price, return_pct or up_probability), value and
                target_at, the end of a minute to come.
        """
        rows = [{**row, "target_at": text(row["target_at"])} for row in predictions]
        return self._object(Call("/predictions", "POST", body={"predictions": rows}))

    def health(self) -> ObjectT:
        """How the platform is."""
        return self._object(Call("/health"))

    def config(self) -> ObjectT:
        """What is followed, and by which rules."""
        return self._object(Call("/config/crypto"))

    def track(self, venue: str, symbol: str, *, tracked: bool = True, note: str = "") -> ObjectT:
        """Have a market followed, or let it go; needs the scope `admin`."""
        coin = {"venue": venue, "symbol": symbol, "is_tracked": tracked, "note": note}
        return self._object(Call("/config/crypto", "PATCH", body={"coins": [coin]}))

    def keep(self, table_name: str, days: int) -> ObjectT:
        """How long a table's rows are kept from now on; needs the scope `admin`."""
        rule = {"table_name": table_name, "keep_days": days}
        return self._object(Call("/config/crypto", "PATCH", body={"retention": [rule]}))

    def audit(
        self,
        *,
        table_name: str | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        rows: int | None = 100,
    ) -> FrameT:
        """Who changed what; needs the scope `admin`."""
        return self._frame(listed("/config/audit", rows, table_name=table_name, start=start, end=end))

    def acknowledge(self, alert_id: str, note: str = "") -> ObjectT:
        """Say that somebody looks at an alert; needs the scope `alerts`."""
        return self._object(Call(f"/alerts/{alert_id}/acknowledge", "POST", body={"note": note}))

    def close_alert(self, alert_id: str, note: str = "") -> ObjectT:
        """Say that an alert is settled; needs the scope `alerts`."""
        return self._object(Call(f"/alerts/{alert_id}/close", "POST", body={"note": note}))

    def judge(self, alert_id: str, *, right: bool, note: str = "") -> ObjectT:
        """Say whether an alert was right; needs the scope `alerts`."""
        body = {"verdict": "right" if right else "wrong", "note": note}
        return self._object(Call(f"/alerts/{alert_id}/feedback", "POST", body=body))
