"""What every recording is made of: lines, each with the time of its receipt and the protocol that it speaks."""

from __future__ import annotations

from typing import Literal, NamedTuple
from urllib.parse import urlsplit

Protocol = Literal["binance", "kraken/v2", "kraken/v1"]

VENUES: dict[Protocol, str] = {"binance": "binance", "kraken/v2": "kraken", "kraken/v1": "kraken"}


class Line(NamedTuple):
    """One message of a venue, untouched; received in nanoseconds since 1970."""

    received_ns: int
    protocol: Protocol
    payload: bytes


def protocol_of_url(url: str) -> Protocol | None:
    """The protocol that is spoken at an address, as far as the address tells."""
    target = urlsplit(url)
    if "binance" in target.netloc or target.path.startswith(("/stream", "/ws")):
        return "binance"
    if "kraken" in target.netloc or target.path in {"", "/", "/v2"}:
        return "kraken/v2" if target.path.rstrip("/").endswith("/v2") else "kraken/v1"
    return None
