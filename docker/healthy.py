#!/usr/bin/env python3
"""`healthy URL`: exit code 0 when the address answers without an error of its own. Standard library only."""

import sys
import urllib.error
import urllib.request

TIMEOUT_S = 4


def main() -> int:
    """Ask once; 1 when nothing answers in time or the answer is a server's error."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(sys.argv[1], timeout=TIMEOUT_S) as answer:
            answer.read(1)
    except urllib.error.HTTPError as error:
        return 1 if error.code >= 500 else 0
    except OSError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
