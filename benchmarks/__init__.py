"""The laboratory of brainsurr: it measures the library, and no part of the library needs it.

Seven folders on four floors; each imports from those below it alone, as its own first paragraph says:

- `pages` puts README and docs together; `studies` compares surrogates; `robustness` tries what the package withstands.
- `digits` trains on handwritten digits; `speed` measures; `bad_input` feeds every public call bad values.
- `lib` is what all of these share; where all frameworks are asked the same, `tools.hosts` tells them apart.

Committed results are in ``benchmarks/results``.
"""
