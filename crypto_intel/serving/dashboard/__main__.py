"""Serve the pages: `python -m crypto_intel.serving.dashboard`. On loopback unless set otherwise: there is no login."""

from __future__ import annotations

import sys
from pathlib import Path

from streamlit.web import cli

from crypto_intel.serving.settings import ServingSettings

_OPTIONS = {
    "server.headless": "true",
    "server.fileWatcherType": "none",  # it would look at every file of the project, again and again
    "server.runOnSave": "false",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",  # a traceback may repeat what is nobody's business
    "global.developmentMode": "false",
    "logger.level": "warning",
    # Of both themes: a theme for all would be light for those who like it dark.
    "theme.light.primaryColor": "#2563eb",
    "theme.dark.primaryColor": "#60a5fa",
}


def main() -> None:
    """Serve until told to stop."""
    wanted = ServingSettings().dashboard
    options = {**_OPTIONS, "server.address": wanted.host, "server.port": str(wanted.port)}
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    sys.argv = ["streamlit", "run", str(Path(__file__).with_name("app.py")), *flags]
    cli.main()


if __name__ == "__main__":
    main()
