"""Which surrogate, and does it matter: ``python -m benchmarks.studies.comparison`` and others.

`comparison` compares the `entrants` in each of the `settings`, as docs/appendix/plan.md says; `regret` has its
numbers and conclusions, `report` its tables and picture. Every other file is a study: its question,
its runs, and what pages show of them, made from its result file alone. `causes` looks at potentials and slopes,
`neurons` trains each neuron, `weights` starts from other weights. `data` and `speech` have the data, `sequences` a
network for sequences.
"""
