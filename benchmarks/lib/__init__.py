"""Modules that all programs share: result files, studies, training, checkpoints, timing, parts of reports.

`timing`, which also runs in the environments of other libraries, needs the standard library alone.
"""

FRAMEWORKS = ("nnx", "linen", "brainstate")
