"""README.md and docs, put together from committed results: `readme`, `evidence`, `withstands`.

A report is in the folder of its program, so this folder only computes numbers that need several results. May import
from all other folders.
"""
