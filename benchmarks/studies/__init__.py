"""Which surrogate, which width and alpha, and does it matter: ``python -m benchmarks.studies.family`` and others.

`family` compares the family by the plan in ``PLAN.md``, from `shapes` and `choice`, in each of `settings`; `randman`,
`speech`, `spoken_digits`, `vowels` and `events` have their data, `sequences` the networks for sequences. `widths` and
`true_gradient` ask why a width matters, `learn_alpha` (with `alpha_rules`) whether to train alpha, `sparse` how little
a network may fire; `neurons` trains each neuron, `others` networks that do not spike. `reports` has what pages show.
May import from `lib` and, for its data, from `digits`.
"""
