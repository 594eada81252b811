"""The reports of the studies in docs/evidence.md, each made from a result file alone.

Each module has ``tables(result)``, which returns Markdown; ``draw(result, folder)``, which writes pictures;
``claims(result)``, which yields each `Claim`; and, where all surrogates took part, ``standing(result)``, which yields
accuracies by surrogate. `neurons`, whose page is docs/neurons.md, has tables and a summary. May import from `lib`, and
from `studies` the function that made a choice.
"""
