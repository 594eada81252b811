"""Handwritten digits, trained in each framework: ``python -m benchmarks.digits``.

`__main__` has the command line; `job` lists the networks and the settings, and decides in the folder of a run whether
it starts, continues or is finished; `training` trains; `report` makes the table and the pictures. `task` has the data
and the sizes; `network` is that of each framework. May import from `lib` and `tools.adapters`.
"""
