"""Which surrogate, which width and alpha, and does it matter: ``python -m benchmarks.studies.family`` and others.

`family` compares the family by the plan in ``PLAN.md``, from `shapes` and `choice`, in each of `settings`; `randman`,
`speech`, `vowels` and `events` have their data, `sequences` the networks for sequences; `reports` has what pages show.
May import from `lib` and, for its data, from `digits`.
"""
