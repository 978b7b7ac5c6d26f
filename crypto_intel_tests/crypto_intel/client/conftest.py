"""The API of the serving tests, for its client."""

from crypto_intel_tests.crypto_intel.serving.api.conftest import api, api_dsn, closed_api, judge_key

__all__ = ["api", "api_dsn", "closed_api", "judge_key"]
