"""Modules that all programs share: result files, studies, training, checkpoints, timing, parts of reports.

They import nothing from the rest of `benchmarks`. `timing`, which also runs in the environments of other libraries,
needs the standard library alone.
"""

FRAMEWORKS = ("nnx", "linen", "brainstate")
