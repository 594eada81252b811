"""What the package withstands: many devices and processes, kills, half precision, half an hour of everything.

Each trial is a program, ``python -m benchmarks.robustness.scale`` (or ``kills``, ``precision``, ``soak``); `reports`
has what a page shows of each. May import from `lib` and, since it trains the digits too, from `digits`.
"""
