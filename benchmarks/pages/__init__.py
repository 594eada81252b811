"""README.md and docs, put together from committed results: `readme`, `evidence`, `withstands`.

A report lies beside what it reports, so nothing is computed here but what several results are needed for. May import
from all the others.
"""
