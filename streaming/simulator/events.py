"""What happens in the simulated world: news and moves that nobody explains, hour by hour.

The market moves by these events and the news wire writes about them, so that news precedes moves for a reason. A
pure function of seed and hour: the counter-based generator is keyed by both, so any hour is drawn without the ones
before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

HOUR_S = 3600
Floats = NDArray[np.float64]

ARTICLES_PER_HOUR = 120.0  # one per 30 s overall: some news in nearly every window of some asset
UNEXPLAINED_PER_HOUR = 6.0
STRONG_SHARE = 0.15  # with the unexplained ones, a move of 0.8 to 2 % about every two and a half minutes
MILD_SHARE = 0.25


class Draw(IntEnum):
    """What a random stream is for, so that no two uses share numbers."""

    EVENTS = 1
    RETURNS = 2
    COUNTS = 3
    TRADES = 4
    MACRO = 5


def random_stream(seed: int, draw: Draw, index: int, sub: int = 0) -> np.random.Generator:
    """Numbers for one use, index and sub-index; the same ones each time, whatever was drawn before."""
    return np.random.Generator(np.random.Philox(key=[seed, int(draw)], counter=[0, 0, sub, index]))


@dataclass(frozen=True)
class HourEvents:
    """Events of an hour in order of time; one element each.

    `second` counts from the start of the hour; `asset` is an index; `log_move` is where the price ends up (natural
    logarithm, 0 without effect); `wording` picks a text; unreported events have no article.
    """

    second: Floats
    asset: NDArray[np.int64]
    log_move: Floats
    is_reported: NDArray[np.bool_]
    wording: NDArray[np.int64]


def events_of_hour(seed: int, hour: int, assets: int) -> HourEvents:
    """Draw the events of an hour (counted from 1970) among `assets` assets."""
    rng = random_stream(seed, Draw.EVENTS, hour)
    reported = int(rng.poisson(ARTICLES_PER_HOUR))
    count = reported + int(rng.poisson(UNEXPLAINED_PER_HOUR))
    second = np.sort(rng.uniform(0, HOUR_S, count))
    is_reported = rng.permutation(np.arange(count) < reported)
    size = _move_sizes(rng, is_reported)
    sign = rng.choice([-1.0, 1.0], count)
    return HourEvents(
        second=second,
        asset=rng.integers(0, assets, count),
        log_move=np.log1p(size * sign),
        is_reported=is_reported,
        wording=rng.integers(0, 1_000_000, count),
    )


def _move_sizes(rng: np.random.Generator, is_reported: NDArray[np.bool_]) -> Floats:
    kind = np.where(is_reported, rng.uniform(size=is_reported.size), 0.0)
    strong = rng.uniform(0.008, 0.02, is_reported.size)
    mild = rng.uniform(0.001, 0.004, is_reported.size)
    return np.where(kind < STRONG_SHARE, strong, np.where(kind < STRONG_SHARE + MILD_SHARE, mild, 0.0))
