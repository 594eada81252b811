"""Programs that write pages and check the site, the package and the tests; `hosts`, for tests and benchmarks."""
