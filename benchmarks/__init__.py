"""The laboratory of brainsurr: it measures the library, and no part of the library needs it.

Seven folders on three floors; each imports from those below it alone:

- `pages` puts README and docs together; `studies` compares surrogates; `robustness` tries what the package withstands.
- `digits` trains on handwritten digits; `speed` measures; `bad_input` feeds every public call bad values.
- `lib` is what all of these share.

Committed results are in ``benchmarks/results``.
"""
