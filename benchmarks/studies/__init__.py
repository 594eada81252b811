"""Compare surrogates: ``python -m benchmarks.studies.comparison`` and other studies.

`comparison` compares the `entrants` in each of the `settings`, by the rules of docs/appendix/plan.md; `regret` computes
its numbers and conclusions, `report` its tables and picture. Every other study is one file, with its question, its
runs, and the parts of pages that it makes from its result file. `causes` examines potentials and surrogate gradients,
`neurons` trains each neuron, `trained` trains decays and delays, and `weights` starts from other initial weights.
`data` and `speech` have the data, and `sequences` a network for sequences.
"""
