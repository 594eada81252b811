"""README.md and pages of docs, put together from committed results.

A report is in the folder of its program, so this folder only computes numbers that need several results.
"""
