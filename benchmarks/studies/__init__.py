"""Which surrogate, which alpha, and does it matter: a study a file, ``python -m benchmarks.studies.randman``.

The family and its values are in `grid`; `comparison` holds the surrogates against networks that don't spike, on any
data set of `sequences`; `reports` has what a page shows of each study. May import from `lib` and, for its data, from
`digits`.
"""
