"""Programs of the repository itself: what `make test-package` and `make test-floor` run."""
