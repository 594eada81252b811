"""Modules that all share: result files, studies, training, checkpoints, timing, compiled programs, parts of reports.

`timing`, which also runs in the environments of other libraries, needs the standard library alone.
"""

FRAMEWORKS = ("nnx", "linen", "brainstate")
