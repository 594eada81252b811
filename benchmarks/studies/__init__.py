"""Which surrogate, which alpha, and does it matter: one file per study, ``python -m benchmarks.studies.randman``.

The surrogates and their parameters are in `grid`; `comparison` compares them with networks that don't spike, on any
data set of `sequences`; `reports` has the report of each study. May import from `lib` and, for its data, from `digits`.
"""
