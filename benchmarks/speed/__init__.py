"""Measure the speed targets of brainsurr: ``python -m benchmarks.speed``.

`claims` has a file per target, `peers` the same network and training step in other libraries, `libraries` their
packages and processes, and `report` the tables.
"""
