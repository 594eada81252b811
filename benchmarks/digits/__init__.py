"""Train on handwritten digits in each framework: ``python -m benchmarks.digits``.

`__main__` is the command line. `job` defines the networks and settings, and checks the folder of a run to start it,
resume it or report that it is finished. `training` trains, `report` makes the table and the picture, `task` has the
data and sizes, and `network` is the network in each framework. This folder may import from `lib` and `tools.adapters`.
"""
