"""Programs that write pages and check the site, the package and the tests, and `adapters` for tests and benchmarks."""
