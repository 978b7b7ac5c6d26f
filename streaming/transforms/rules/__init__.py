"""Alert rules: pure functions of a market's history, one module a family, the same on the stream and over the past.

    market.py      what a rule sees: trades by ten seconds and by minute, which ids are missing, what news there is
    fired.py       what a rule says, and its id
    price_move.py  the price moved by X % within a window
    spikes.py      a minute's volume or range against its rolling baseline
    news_move.py   the price moved after news about the asset
    incidents.py   the data are not whole: a silent feed, ids missing for long
    book.py        which rules are in force, and on which market
    engine.py      cool-down, and no market alert on incomplete data

A rule is a frozen struct with a `judge`; it knows nothing of Kafka, batches or settings. What becomes of what it says
(ids, sinks, people) is not decided here.
"""

from streaming.transforms.rules.book import Book, Rules, restated
from streaming.transforms.rules.engine import Memory, evaluate
from streaming.transforms.rules.fired import Fired, alert_id
from streaming.transforms.rules.incidents import Incidents
from streaming.transforms.rules.market import Market, NewsItem
from streaming.transforms.rules.news_move import NewsMove
from streaming.transforms.rules.price_move import PriceMove
from streaming.transforms.rules.spikes import Spike

__all__ = [
    "Book",
    "Fired",
    "Incidents",
    "Market",
    "Memory",
    "NewsItem",
    "NewsMove",
    "PriceMove",
    "Rules",
    "Spike",
    "alert_id",
    "evaluate",
    "restated",
]
