"""What docs/withstands.md shows of each trial, from its result file alone.

Each module has ``section(result)``, its part of the page; ``line(result)``, its row in the summary; and ``draw(result,
folder)`` where there is a picture. May import from `lib`.
"""
