"""Which surrogate, which width and alpha, and does it matter: ``python -m benchmarks.studies.family`` and others.

A file is a study: its question, its runs, and what pages show of them, made from its result file alone: ``parts`` of
the page, ``claims``, and some a picture. `family` compares the family by the plan in ``docs/plan.md``, from `shapes`
and `choice`, in each of `settings`, and has its report in `reports`. `learn_alpha` (with `alpha_rules`) asks whether to
train alpha; `neurons` trains each neuron, `others` networks that do not spike. `data` and `speech` have the data,
`sequences` the networks for sequences.
"""
