"""`hosts`, which tests and benchmarks share; and the programs behind `make test-package` and `make test-floor`."""
