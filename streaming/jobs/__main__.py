"""`python -m streaming.jobs [NAME ...]`: run the streaming queries, all of them or those named, in one application.

Stops gracefully on SIGTERM and SIGINT: each query finishes its batch. A query that dies ends the application with a
non-zero code, so that its supervisor starts it again; checkpoints and sinks make that harmless.
"""

from __future__ import annotations

import argparse
import sys

from streaming.jobs.app import QUERIES, run
from streaming.log import configure_log
from streaming.settings import StreamingSettings


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m streaming.jobs", description=__doc__)
    parser.add_argument("queries", nargs="*", metavar="NAME", help=f"of {', '.join(QUERIES)}; default: all")
    names = parser.parse_args().queries or list(QUERIES)
    unknown = sorted(set(names) - set(QUERIES))
    if unknown:
        parser.error(f"no query named {', '.join(unknown)}; there are {', '.join(QUERIES)}")
    settings = StreamingSettings()
    configure_log(json=settings.log_json)
    return run(settings, names)


if __name__ == "__main__":
    sys.exit(main())
