"""Train five networks and non-spiking baselines on Fashion-MNIST: ``python -m benchmarks.fashion --data FOLDER``.

`__main__` is the command line and loops over the runs. `data` reads the images, `networks` has the layers, sizes and
learning rates of each network, `training` trains one, and `report` makes the table, the pictures and the section of a
page. This folder may import from `lib`.
"""
