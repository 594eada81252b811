"""README.md and pages of docs, put together from committed results: a file for each, and what they share.

A report is in the folder of its program, so this folder only computes numbers that need several results. May import
from all other folders.
"""
