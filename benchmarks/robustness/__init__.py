"""Trials of robustness: many devices and processes, half precision, and half an hour of everything.

Each trial is a program, ``python -m benchmarks.robustness.scale`` (or ``precision``, ``soak``); `networks` has what
they train, `mesh` and `collectives` what `scale` runs on several devices, `reports` the report of each. May import from
`lib`, from `tools.frameworks` and, since it trains the digits too, from `digits`.
"""
