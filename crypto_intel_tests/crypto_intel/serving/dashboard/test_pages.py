"""Every page in a real browser: its numbers are the API's, clicks work, and nothing and nobody is told plainly."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_intel_tests.helpers.browser import Page, browser, find_browser

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(find_browser() is None, reason="no Chromium (apt-get install chromium)"),
]


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    """A tab of a new browser."""
    async with browser(tmp_path / "profile") as opened:
        yield opened


def _text(url: str) -> str:
    return httpx.get(url).text


def _rows(url: str) -> list[dict[str, Any]]:
    return httpx.get(url).json()["data"]  # type: ignore[no-any-return]


async def _metrics(page: Page, *awaited: str) -> dict[str, str]:
    """Value by label, once the awaited labels are there: a page is drawn piece by piece."""
    labels = "[...document.querySelectorAll('[data-testid=stMetricLabel]')].map(m => m.innerText)"
    for label in awaited:
        await page.wait_for(f"{labels}.includes({json.dumps(label)})")
    script = (
        "JSON.stringify([...document.querySelectorAll('[data-testid=stMetric]')].map(m => "
        "[m.querySelector('[data-testid=stMetricLabel]').innerText, "
        "m.querySelector('[data-testid=stMetricValue]').innerText]))"
    )
    return dict(json.loads(await page.evaluate(script)))


async def test_market_shows_the_prices_and_the_chart_that_the_api_has(page: Page, pages: str, api: str) -> None:
    await page.open(pages)
    await page.wait_for_text("Last close")
    prices = {row["symbol"]: row["price"] for row in _rows(f"{api}/prices")}
    wanted = {f"{symbol} · binance": f"{price:,.6g}" for symbol, price in prices.items()}
    assert await _metrics(page, *wanted) == wanted
    (bar,) = _rows(f"{api}/bars?symbol=BTC-USDT&interval=1m&limit=1")
    text = await page.text()
    assert f"Last close {bar['close']:,.8g} at 2026-11-20 14:10 UTC" in text
    assert "SIMULATED MARKET" in text
    await page.wait_for("document.querySelectorAll('.js-plotly-plot .cartesianlayer .trace').length > 0")
    assert "130 bars of 1m; 1 incomplete" in text
    await page.click_text("6 hours", "button, [role=radio], label")
    await page.wait_for("document.querySelector('[aria-checked=true], [kind*=Active]').innerText.includes('6 hours')")


async def test_the_other_pages_show_what_the_api_has(page: Page, pages: str, api: str) -> None:
    await page.open(f"{pages}/trust")
    await page.wait_for_text("Ledger of gaps")
    hours = _rows(f"{api}/completeness")
    good = sum(row["complete"] + row["repaired"] + row["quiet"] for row in hours)
    metrics = await _metrics(page, "Minutes complete, last day", "Open gaps")
    assert metrics["Minutes complete, last day"] == f"{100 * good / sum(row['bars'] for row in hours):.2f} %"
    assert metrics["Open gaps"] == str(len(_rows(f"{api}/gaps?state=open")))
    await page.wait_for_text("Dagster does not answer here")
    await page.wait_for_text("The lake holds none yet, or cannot be read from here")
    await page.wait_for_text("What each sink holds")
    await page.click_text("Movers")
    await page.wait_for_text("Ranking")
    await _metrics(page, "1. BTC-USDT")
    await page.click_text("Macro")
    await page.wait_for_text("newest value known on 2026-11-20")
    (value,) = _rows(f"{api}/macro/CPIAUCSL?as_of=2026-11-20")
    newest = f"{value['value']:,.4g}"
    shown = "document.querySelector('[data-testid=stMetricValue]')?.innerText"
    await page.wait_for(f"{shown} === {json.dumps(newest)}")


async def test_an_alert_is_explained_and_its_threshold_can_be_tried(page: Page, pages: str, api: str) -> None:
    await page.open(f"{pages}/alerts")
    await page.wait_for_text("Why it fired")
    newest = _rows(f"{api}/alerts?limit=1")[0]
    await page.wait_for_text(f"{newest['message']}  ({newest['alert_id']})")
    await page.wait_for_text("of the last")
    await page.wait_for("!!document.querySelector('a[href=\"http://127.0.0.1:9/assets/alerts/alert\"]')")


async def test_the_apis_description_is_shown_without_the_net(page: Page, api: str) -> None:
    assert not re.search("https?://", _text(f"{api}/docs"))
    await page.open(f"{api}/docs")
    await page.wait_for_text("/api/v1/bars")
    await page.wait_for_text("List Bars")


async def test_text_from_outside_is_shown_and_never_run(page: Page, pages: str) -> None:
    await page.open(f"{pages}/news")
    await page.wait_for_text("Price around the article")
    await page.wait_for_text("Bitcoin moves 19")
    assert await page.evaluate("document.querySelectorAll('script:not([src])').length") == await page.evaluate(
        "[...document.querySelectorAll('script:not([src])')].filter(s => !s.innerText.includes('alert(')).length"
    )


async def test_a_page_without_data_says_so(page: Page, empty_pages: str) -> None:
    words = {
        "": "No market has traded yet", "movers": "No market has traded yet", "news": "No article fits",
        "alerts": "No rule has fired yet", "macro": "No series is here yet", "trust": "No bar has been written yet",
    }  # fmt: skip
    for path, said in words.items():
        await page.open(f"{empty_pages}/{path}")
        await page.wait_for_text(said)


async def test_a_database_that_is_away_is_said_without_any_secret(page: Page, lost_pages: tuple[str, Path]) -> None:
    address, log = lost_pages
    for path in ("", "trust"):
        await page.open(f"{address}/{path}")
        await page.wait_for_text("The database does not answer now")
        assert "canary" not in await page.evaluate("document.documentElement.outerHTML")
    assert "canary-password" not in log.read_text()
