"""Modules that all folders share: result files, studies, blocks, training, checkpoints, timing, programs and reports.

`timing`, which also runs in the environments of other libraries, needs only the standard library.
"""

FRAMEWORKS = ("nnx", "linen", "brainstate")
