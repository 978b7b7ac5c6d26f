"""`make audit`: known faults of what requirements.lock names. Never says that there are none when it could not look.

Asks api.osv.dev by pip-audit; where that is out of reach, `make audit ADVISORIES=FOLDER` reads a clone of
https://github.com/pypa/advisory-database, which a mirror can bring behind any wall. What belongs here: reading,
matching and telling. What does not: a copy of advisories, which would be old the day after (as safety-db is, the one
package that has any: its last release is of July 2021).

Exit code 0: looked, none known. 1: faults are known. 3: could not look, and nothing is known.
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import yaml  # type: ignore[import-untyped]
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).resolve().parent.parent.parent
LOCK = ROOT / "requirements.lock"
SERVICE = "api.osv.dev"
CLEAN, FAULTS, NOT_LOOKED = 0, 1, 3
REACH_S = 5
STALE_DAYS = 30
"""Advisories come out every day: a clone that has none as young as this says nothing of what is known now."""


class Pin(NamedTuple):
    """A package of the lock; the name as PyPI compares names."""

    name: str
    version: str


class Fault(NamedTuple):
    """A known fault of a pinned package, and the versions that mend it."""

    pin: Pin
    advisory: str
    mended_in: tuple[str, ...]


class CouldNotLookError(Exception):
    """Nothing is known of the packages, for this reason."""


def pins(lock: str) -> list[Pin]:
    """Every pinned package of a lock; one that is pinned by platform comes once a version."""
    found = re.findall(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*])?==([^\s;\\]+)", lock, re.MULTILINE)
    return sorted({Pin(canonicalize_name(name), version) for name, version in found})


def is_affected(version: str, affected: dict[str, Any]) -> bool:
    """Whether a version is one of `affected` of an advisory in OSV's form: listed, or within a range."""
    if version in map(str, affected.get("versions", ())):
        return True
    ranges = [one["events"] for one in affected.get("ranges", ()) if one.get("type") == "ECOSYSTEM"]
    return any(_is_within(Version(version), events) for events in ranges)


def _is_within(version: Version, events: Sequence[dict[str, str]]) -> bool:
    # OSV: events in order of version; the last one that is not behind the version decides.
    inside = False
    for event in sorted(events, key=_at):
        if "introduced" in event and version >= _at(event):
            inside = True
        elif ("fixed" in event and version >= _at(event)) or ("last_affected" in event and version > _at(event)):
            inside = False
    return inside


def _at(event: dict[str, str]) -> Version:
    (place,) = event.values()
    try:
        return Version(place)
    except InvalidVersion:
        return Version("0")  # a range from what cannot be compared begins with the first version


def faults(folder: Path, wanted: Sequence[Pin]) -> Iterator[Fault]:
    """Faults of these packages by a clone of the advisory database; what was withdrawn is none."""
    for pin in wanted:
        for path in sorted((folder / "vulns" / pin.name).glob("*.yaml")):
            told = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
            hit = [one for one in told.get("affected", ()) if is_affected(pin.version, one)]
            if hit and "withdrawn" not in told:
                yield Fault(pin, told["id"], tuple(sorted(set(_mended(hit)))))


def _mended(affected: Sequence[dict[str, Any]]) -> Iterator[str]:
    for one in affected:
        for ranged in one.get("ranges", ()):
            if ranged.get("type") == "ECOSYSTEM":
                yield from (event["fixed"] for event in ranged["events"] if "fixed" in event)


def newest(folder: Path) -> date:
    """Day of the newest advisory of a clone: nothing that was found later is known.

    Raises:
        CouldNotLookError: there are no advisories.
    """
    texts = (path.read_text(encoding="utf-8") for path in folder.glob("vulns/*/*.yaml"))
    days = re.findall(r"^modified: ['\"]?(\d{4}-\d\d-\d\d)", "\n".join(texts), re.MULTILINE)
    if not days:
        raise CouldNotLookError(f"{folder} is no clone of https://github.com/pypa/advisory-database")
    return date.fromisoformat(max(days))


def asked_of_clone(folder: Path, wanted: Sequence[Pin]) -> tuple[list[Fault], str]:
    """Faults, and what was asked.

    Raises:
        CouldNotLookError: it is no clone, or an old one that names no fault.
    """
    day, found = newest(folder), list(faults(folder, wanted))
    if not found and datetime.now(UTC).date() - day > timedelta(days=STALE_DAYS):
        raise CouldNotLookError(f"the newest advisory of {folder} is of {day}: pull it")
    return found, f"by the advisories of {folder}, the newest of {day}"


def asked_of_service(wanted: Sequence[Pin]) -> tuple[list[Fault], str]:
    """Faults, and what was asked.

    Raises:
        CouldNotLookError: the service is out of reach, or has not answered for every package.
    """
    try:
        socket.create_connection((SERVICE, 443), REACH_S).close()
    except OSError as error:
        raise CouldNotLookError(f"{SERVICE} is not in reach from here ({error})") from None
    command = [str(Path(sys.executable).parent / "pip-audit"), "--vulnerability-service", "osv", "--disable-pip"]
    command += ["--require-hashes", "-r", str(LOCK), "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        answers = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        raise CouldNotLookError(f"pip-audit failed: {done.stderr.strip()[-600:]}") from None
    skipped = [one["name"] for one in answers if "vulns" not in one]
    if skipped or not answers:
        raise CouldNotLookError(f"pip-audit skipped {', '.join(skipped) or 'everything'}")
    return list(_told(answers)), f"of {SERVICE}, {len(answers)} of {len(wanted)} that this platform installs"


def _told(answers: Sequence[dict[str, Any]]) -> Iterator[Fault]:
    for one in answers:
        for told in one["vulns"]:
            yield Fault(Pin(one["name"], one["version"]), told["id"], tuple(told["fix_versions"]))


def main(arguments: Sequence[str]) -> int:
    """Look, tell, and end with the code that the module's docstring lists."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--advisories", type=Path, help="a clone of https://github.com/pypa/advisory-database")
    parser.add_argument("--may-be-out-of-reach", action="store_true", help="end with 0 where nothing could be asked")
    chosen = parser.parse_args(arguments)
    wanted = pins(LOCK.read_text(encoding="utf-8"))
    try:
        found, asked = asked_of_clone(chosen.advisories, wanted) if chosen.advisories else asked_of_service(wanted)
    except CouldNotLookError as error:
        sys.stdout.write(f"NOT AUDITED: {error}; nothing is known of {len(wanted)} packages\n")
        return CLEAN if chosen.may_be_out_of_reach else NOT_LOOKED
    for fault in found:
        mended = f"mended in {', '.join(fault.mended_in)}" if fault.mended_in else "not mended yet"
        sys.stdout.write(f"{fault.pin.name} {fault.pin.version}: {fault.advisory}, {mended}\n")
    sys.stdout.write(f"{len(found)} known faults in {len(wanted)} packages, asked {asked}\n")
    return FAULTS if found else CLEAN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
