"""What the platform costs and how fast it is: `make bench`, or `python -m crypto_intel_tests.benchmarks`."""
