"""What docs/evidence.md shows of each study, from its result file alone.

Each module has ``tables(result)``, Markdown; ``draw(result, folder)``, pictures; ``claims(result)``, sentences with
whether they hold and the numbers that say so; and ``standing(result)``, accuracies by surrogate, where all took part.
May import from `lib`, and from `studies` how a choice was made.
"""
