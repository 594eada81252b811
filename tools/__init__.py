"""Programs that write pages and check the site, the package and the tests; `frameworks`, for tests and benchmarks."""
