"""Measurements of brainsurr; no part of the library needs them.

Eight folders, of which no two import each other, as ``tests/project/test_structure.py`` checks:

- `pages` assembles README and docs.
- `studies` compares surrogates; `robustness` tries many devices, half precision and long runs.
- `nir` sends networks to other libraries and back; `digits` trains on handwritten digits, `fashion` on Fashion-MNIST;
  `speed` measures time and memory.
- `lib` is shared by all; `tools.frameworks` gives the frameworks one interface, `tools.parts` fills in pages.

Committed results are in ``benchmarks/results``.
"""
