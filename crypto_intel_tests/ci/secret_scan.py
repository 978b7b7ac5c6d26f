"""`make secrets`: looks for secrets in every file that git knows, offline; fails with the place, never with the value.

Tests hold many things that only look like secrets, so they are searched for tokens of known shapes and private keys
alone; everywhere else also for assigned passwords and keys of high entropy. What was looked at and is none stands in
`.secrets.json`, by file and digest: `make secrets UPDATE=--update` writes it anew.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from detect_secrets.core.scan import scan_file
from detect_secrets.settings import default_settings, get_plugins

ROOT = Path(__file__).resolve().parent.parent.parent
KNOWN = ROOT / ".secrets.json"
GUESSES = {"Secret Keyword", "Basic Auth Credentials", "Base64 High Entropy String", "Hex High Entropy String"}
"""What goes by names and looks rather than by the shape of a real token."""

SKIPPED = ("requirements.lock", ".sha256", ".png", ".svg", ".gz", ".secrets.json")
PLACEHOLDERS = {"password", "pass", "secret", "***", "…"}


class Finding(NamedTuple):
    """Something that looks like a secret; `digest` stands for its value."""

    file: str
    line: int
    kind: str
    digest: str


def scan(files: list[str]) -> Iterator[Finding]:
    """What is found in these files, in order."""
    with default_settings():
        assert get_plugins()
        for file in files:
            for found in scan_file(str(ROOT / file)):
                is_guess = found.type in GUESSES
                if is_guess and (file.startswith("crypto_intel_tests/") or found.secret_value in PLACEHOLDERS):
                    continue
                yield Finding(file, found.line_number, found.type, found.secret_hash)


def tracked() -> list[str]:
    """Files that git knows and that can be read as text."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S607
    return [file for file in listed.stdout.splitlines() if not file.endswith(SKIPPED) and (ROOT / file).is_file()]


def main() -> int:
    """Exit code 1 when something was found that is not known to be none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", help="take all that is found for no secret")
    found = list(scan(tracked()))
    if parser.parse_args().update:
        told = sorted({(one.file, one.digest) for one in found})
        KNOWN.write_text(json.dumps([list(one) for one in told], indent=1) + "\n", encoding="utf-8")
        return 0
    known = {tuple(one) for one in json.loads(KNOWN.read_text(encoding="utf-8"))}
    unknown = [one for one in found if (one.file, one.digest) not in known]
    for one in unknown:
        sys.stderr.write(f"{one.file}:{one.line}: {one.kind}\n")
    sys.stdout.write(f"{len(unknown)} unknown, {len(found) - len(unknown)} known to be none\n")
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
