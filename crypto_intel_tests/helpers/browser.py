"""A real headless Chromium, driven over its own DevTools protocol: open, wait for words, click, read, picture."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from crypto_intel.stack.ports import free_port

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def find_browser() -> str | None:
    """Path of a Chromium, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One tab."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)

    async def call(self, method: str, **params: Any) -> Any:
        """One command of the protocol; what it answers."""
        number = next(self._ids)
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(await self._socket.recv())
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]

    async def evaluate(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = await self.call("Runtime.evaluate", expression=script, returnByValue=True)
        return answer["result"].get("value")

    async def open(self, url: str) -> None:
        """Go there."""
        await self.call("Page.navigate", url=url)

    async def text(self) -> str:
        """All words on the page."""
        return str(await self.evaluate("document.body ? document.body.innerText : ''"))

    async def wait_for(self, script: str, within_s: float = 40) -> None:
        """Wait until an expression is true.

        Raises:
            TimeoutError: it was not within that time; the error shows the page's words.
        """
        deadline = time.monotonic() + within_s
        while not await self.evaluate(script):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{script!r} not within {within_s} s; the page says: {(await self.text())[:1500]}")
            await asyncio.sleep(0.2)

    async def wait_for_text(self, words: str, within_s: float = 40) -> None:
        """Wait until the page says so."""
        await self.wait_for(f"document.body && document.body.innerText.includes({json.dumps(words)})", within_s)

    async def click_text(self, words: str, selector: str = "a, button, label, [role=option]") -> None:
        """Click the first such element that says so."""
        all_of_them = f"[...document.querySelectorAll({json.dumps(selector)})]"
        found = f"{all_of_them}.find(element => element.innerText.includes({json.dumps(words)}))"
        await self.wait_for(f"!!{found}")
        await self.evaluate(f"{found}.click()")

    async def picture(self, height: int = 1400, width: int = 1440) -> bytes:
        """What is seen, as a PNG."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        await asyncio.sleep(1.0)  # charts take the new width in the next frames
        answer = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(answer["data"])


@asynccontextmanager
async def browser(profile: Path, *, dark: bool = False) -> AsyncIterator[Page]:
    """A tab of a browser that ends with the block."""
    port = free_port()
    command = [
        str(find_browser()), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        f"--remote-debugging-port={port}", f"--user-data-dir={profile}", "--window-size=1440,1400",
        "--no-first-run", "--disable-background-networking", "--disable-extensions", "--mute-audio",
        "--remote-allow-origins=*", "about:blank",
    ]  # fmt: skip
    if dark:
        command.insert(1, "--force-dark-mode")
    silent = subprocess.DEVNULL
    process = await asyncio.to_thread(subprocess.Popen, command, stdout=silent, stderr=silent)
    try:
        async with connect(await _tab(port), max_size=2**26) as socket:
            page = Page(socket)
            await page.call("Page.enable")
            yield page
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 10)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)


async def _tab(port: int) -> str:
    deadline = time.monotonic() + 30
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            try:
                tabs = (await client.get(f"http://127.0.0.1:{port}/json")).json()
                return str(next(tab for tab in tabs if tab["type"] == "page")["webSocketDebuggerUrl"])
            except (httpx.TransportError, StopIteration):
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.1)
