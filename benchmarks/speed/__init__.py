"""What brainsurr claims of its speed, measured: ``python -m benchmarks.speed``.

`claims` has a file a claim, `peers` the same network and train step in other libraries, `libraries` what each needs and
its processes, and `report` the tables.
"""
