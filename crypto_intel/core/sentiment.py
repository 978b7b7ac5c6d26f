"""Sentiment of a headline: VADER's rules and words (Hutto & Gilbert 2014) with the words that crypto news uses.

NLTK keeps the rules; the words are the file that VADER's authors publish, read from their package, since NLTK fetches
them from the net. What belongs here: text in, score out. What does not: which texts (news.py).
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crypto_intel.core.errors import PermanentError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_CHARS = 1_000
"""A longer text is cut: rules look at neighbouring words, and a headline with its description is shorter."""

CRYPTO_WORDS: dict[str, float] = {
    # Markets: what happened to the price, on VADER's scale of -4 (worst) to 4.
    "bullish": 2.4, "bull": 1.4, "bulls": 1.4, "bearish": -2.4, "bear": -1.2, "bears": -1.2, "rally": 2.2,
    "rallies": 2.2, "rallied": 2.0, "surge": 2.0, "surges": 2.0, "surged": 2.0, "soar": 2.3, "soars": 2.3,
    "soared": 2.2, "skyrockets": 2.4, "jumps": 1.7, "climbs": 1.5, "climbed": 1.5, "rebound": 1.6, "rebounds": 1.6,
    "recovers": 1.5, "breakout": 1.6, "ath": 2.2, "highs": 1.3, "outperform": 1.7, "outperforms": 1.7, "inflows": 1.5,
    "accumulate": 1.0, "accumulation": 1.0, "plunge": -2.4, "plunges": -2.4, "plunged": -2.3, "tumble": -2.0,
    "tumbles": -2.0, "tumbled": -2.0, "slump": -2.0, "slumps": -2.0, "crash": -2.7, "crashes": -2.7, "crashed": -2.6,
    "plummet": -2.5, "plummets": -2.5, "dip": -1.0, "dips": -1.0, "drops": -1.4, "falls": -1.3, "sinks": -1.7,
    "slides": -1.4, "selloff": -2.0, "outflows": -1.5, "liquidated": -2.0, "liquidation": -1.9,
    "liquidations": -1.9, "capitulation": -2.0, "lows": -1.2, "correction": -1.0, "dump": -1.8, "dumps": -1.8,
    # Trust: what happened to coins, venues and their people.
    "hack": -2.6, "hacked": -2.7, "hackers": -2.4, "exploit": -2.4, "exploited": -2.5, "rugpull": -3.2, "rug": -1.8,
    "scam": -3.0, "scams": -3.0, "ponzi": -3.2, "phishing": -2.6, "drained": -2.2, "laundering": -2.5,
    "insolvent": -2.8, "insolvency": -2.7, "bankrupt": -2.7, "bankruptcy": -2.6, "depeg": -2.6, "depegs": -2.6,
    "delist": -2.0, "delisted": -2.0, "delists": -2.0, "lawsuit": -1.8, "sues": -1.9, "sued": -1.9, "ban": -2.0,
    "bans": -2.0, "banned": -2.0, "crackdown": -1.9, "probe": -1.3, "fud": -1.6, "halts": -1.4, "outage": -1.6,
    "adoption": 1.6, "adopts": 1.5, "approval": 1.8, "approves": 1.9, "approved": 1.9, "partnership": 1.5,
    "partners": 1.2, "listing": 1.0, "lists": 0.8, "upgrade": 1.2, "launches": 0.8, "halving": 0.8, "hodl": 1.2,
    "moon": 1.6, "mooning": 2.2, "milestone": 1.4, "undervalued": 1.2, "overvalued": -1.3, "overbought": -0.8,
    # Words whose everyday mood misleads in this trade.
    "crypto": 0.0, "share": 0.0, "shares": 0.0, "token": 0.0, "stake": 0.0, "staking": 0.0, "burn": 0.4, "burned": 0.4,
    "fee": 0.0, "gas": 0.0, "interest": 0.0, "bid": 0.0, "proof": 0.0, "trust": 0.0, "security": 0.0,
}  # fmt: skip


def score(text: str) -> float:
    """Mood of an English text, -1 (bad for holders) to 1; 0 without a word that says so.

    Raises:
        PermanentError: the words are not installed.
    """
    return float(_rules()(text[:MAX_CHARS])["compound"])


@cache
def _rules() -> Callable[[str], dict[str, float]]:
    # Imported on use: NLTK takes half a second and 50 MB, and only runs with news need it.
    from nltk.sentiment.vader import SentimentIntensityAnalyzer, VaderConstants  # noqa: PLC0415

    class Analyzer(SentimentIntensityAnalyzer):  # type: ignore[misc]
        """NLTK's rules on words of ours."""

        def __init__(self, words: dict[str, float]) -> None:  # its own loads a file that NLTK would have downloaded
            self.lexicon = words
            self.constants = VaderConstants()

    rules: Any = Analyzer({**_words(), **CRYPTO_WORDS}).polarity_scores
    return rules  # type: ignore[no-any-return]


def _words() -> dict[str, float]:
    package = find_spec("vaderSentiment")
    if package is None or package.origin is None:
        raise PermanentError("the package vaderSentiment, which holds VADER's words, is not installed")
    lines = (Path(package.origin).parent / "vader_lexicon.txt").read_text(encoding="utf-8").splitlines()
    return {word: float(mood) for word, mood in (line.split("\t")[:2] for line in lines)}
