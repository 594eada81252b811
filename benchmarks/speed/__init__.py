"""What brainsurr claims of its speed, measured: ``python -m benchmarks.speed``.

`claims` has a file a claim, `peers` the same network and train step in other libraries, each run in an environment of
its own, and `report` the tables. May import from `lib`.
"""
