"""Handwritten digits, trained in each framework: ``python -m benchmarks.digits``.

The command line is in `__main__`, the loop over networks, seeds and epochs in `training`, the table and the pictures in
`report`, data and sizes in `task`, and each framework's network and step in a file of its name. May import from `lib`.
"""
