"""The benchmarks that other libraries publish, on a CPU, side by side: ``python -m benchmarks.field``.

`published` has the networks and where they are from, `report` the page. The libraries, their processes and the programs
in them are those of `benchmarks.speed`.
"""
