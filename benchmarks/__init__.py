"""Measurements of brainsurr; no part of the library needs them.

Seven folders; each imports only from folders further down this list, as ``tests/project/test_structure.py`` checks:

- `pages` assembles README and docs.
- `studies` compares surrogates; `robustness` tries many devices, half precision and long runs.
- `nir` sends networks to other libraries and back; `speed` measures time and memory.
- `digits` trains on handwritten digits.
- `lib` is shared by all; `tools.frameworks` gives the frameworks one interface, `tools.parts` fills in pages.

Committed results are in ``benchmarks/results``.
"""
