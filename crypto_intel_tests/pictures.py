"""Pictures of the dashboard's pages for the READMEs, in light and dark: look at them before they are committed.

`python -m crypto_intel_tests.pictures http://127.0.0.1:8501 FOLDER` takes them of a dashboard that runs.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from crypto_intel_tests.helpers.browser import Page, browser

PAGES = {
    "market": ("Last close", 1_500),
    "movers": ("Ranking", 1_150),
    "news": ("Price around the article", 1_500),
    "alerts": ("What would another threshold raise?", 1_600),
    "macro": ("Against", 1_250),
    "trust": ("Ledger of gaps", 2_000),
}
"""Words that are there when a page is drawn, and its height in pixels."""

WIDTH = 1_360
DRAWN = "!document.querySelector('[data-testid=stStatusWidget], [data-testid=stSkeleton]')"


async def take(url: str, folder: Path, names: list[str], *, dark: bool) -> None:
    """One picture a page: FOLDER/dashboard-NAME.png, or -NAME-dark.png."""
    with tempfile.TemporaryDirectory() as profile:
        async with browser(Path(profile)) as page:
            scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
            await page.call("Emulation.setEmulatedMedia", features=[scheme])
            for name in names:
                await _one(page, f"{url}/{'' if name == 'market' else name}", name)
                suffix = "-dark" if dark else ""
                picture = await page.picture(PAGES[name][1], WIDTH)
                (folder / f"dashboard-{name}{suffix}.png").write_bytes(picture)


async def _one(page: Page, url: str, name: str) -> None:
    words, height = PAGES[name]
    await page.call("Emulation.setDeviceMetricsOverride", width=WIDTH, height=height, deviceScaleFactor=1, mobile=False)
    await page.open(url)
    await page.wait_for_text(words, within_s=90)
    await page.wait_for(DRAWN, within_s=60)
    await asyncio.sleep(3)  # charts fade in


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--page", choices=list(PAGES), action="append", help="Default: all of them.")
    parser.add_argument("--dark", action="store_true")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(take(chosen.url.rstrip("/"), chosen.folder, chosen.page or list(PAGES), dark=chosen.dark))


if __name__ == "__main__":
    main()
