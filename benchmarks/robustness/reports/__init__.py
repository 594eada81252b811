"""The reports of the trials in docs/withstands.md, each made from a result file alone.

Each module has ``section(result)``, which returns its part of the page; ``line(result)``, which returns its row in the
summary; and, for a picture, ``draw(result, folder)``. May import from `lib`.
"""
