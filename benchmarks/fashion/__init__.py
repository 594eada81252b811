"""Fashion-MNIST, five networks and their twins without spikes: ``python -m benchmarks.fashion --data FOLDER``.

`__main__` has the command line and goes through the runs; `data` reads the images; `networks` has the layers, sizes and
rates of each network; `training` trains one; `report` makes the table, the pictures and the section of a page. May
import from `lib`.
"""
