"""Measurements of brainsurr, which the library itself does not need.

The imports of the ten folders have no cycle: `pages` imports from all, `studies` and `nir` from `fashion`, `robustness`
and `nir` from `digits`, `field` and `accelerators` from `speed`, and every folder from `lib`.

- `pages` fills the tables into the README and the docs.
- `studies` compares surrogates; `robustness` tests many devices, half precision and long runs.
- `nir` exchanges networks with other libraries, and rounds them to the integers of chips; `digits` trains on
  handwritten digits, `fashion` on Fashion-MNIST; `speed` measures time and memory, `field` the benchmarks that other
  libraries publish, and `accelerators` counts the kernel launches of programs for a GPU and a TPU.
- All folders share `lib`; `tools.adapters` gives the frameworks one interface, and `tools.parts` fills in pages.

Committed results are in ``benchmarks/results``.
"""
