"""`hosts`, which tests and benchmarks share, and the programs of `make test-package` and `make test-floor`."""
