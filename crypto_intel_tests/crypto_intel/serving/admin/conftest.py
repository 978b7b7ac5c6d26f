"""The API of the serving tests, whose app serves the admin's pages too."""

from crypto_intel_tests.crypto_intel.serving.api.conftest import api, api_dsn, data_dir

__all__ = ["api", "api_dsn", "data_dir"]
