"""Robustness tests: many devices and processes, half precision, and half an hour of continuous use.

Each test is a program, ``python -m benchmarks.robustness.scale`` (or ``precision``, ``soak``). `networks` has the
networks that they train, `mesh` and `collectives` the parts that `scale` needs for several devices, and `reports` the
report of each test. This folder may import from `lib`, `tools.frameworks` and `digits`.
"""
