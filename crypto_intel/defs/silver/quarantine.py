"""silver.quarantine: what cleaning and blocking checks refused; they write it, and here it is observed."""

from crypto_intel.contracts.derived import SILVER_QUARANTINE, SILVER_QUOTES
from crypto_intel.contracts.tables import SILVER_TRADES
from crypto_intel.graph.specs import key_of
from crypto_intel.operations.observing import observed_table

quarantine = observed_table(
    SILVER_QUARANTINE, [key_of(SILVER_QUOTES), key_of(SILVER_TRADES)], kinds={"polars", "deltalake"}, mode="batch"
)
