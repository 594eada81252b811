"""Measurements of brainsurr; no part of the library needs them.

Ten folders, whose imports have no cycle: `pages` imports from all, `studies` and `nir` from `fashion`, `robustness` and
`nir` from `digits`, `field` and `accelerators` from `speed`, and each from `lib`.

- `pages` assembles README and docs.
- `studies` compares surrogates; `robustness` tries many devices, half precision and long runs.
- `nir` sends networks to other libraries and back, and to the integers of chips; `digits` trains on handwritten digits,
  `fashion` on Fashion-MNIST; `speed` measures time and memory, `field` the benchmarks that others publish, and
  `accelerators` counts what programs for a GPU and a TPU do.
- `lib` is shared by all; `tools.adapters` gives the frameworks one interface, `tools.parts` fills in pages.

Committed results are in ``benchmarks/results``.
"""
