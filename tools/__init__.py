"""Programs that write pages and check the site, the package and the tests; `adapters`, for tests and benchmarks."""
