"""Modules that all share: result files, studies, blocks, training, checkpoints, timing, programs, parts of reports.

`timing`, which also runs in the environments of other libraries, needs the standard library alone.
"""

FRAMEWORKS = ("nnx", "linen", "brainstate")
