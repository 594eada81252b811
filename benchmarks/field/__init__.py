"""Run the benchmarks that other libraries publish, side by side on a CPU: ``python -m benchmarks.field``.

`published` has the networks and their sources, `report` the page. The libraries, their processes and their programs are
those of `benchmarks.speed`.
"""
