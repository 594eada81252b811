"""What all programs share: result files, studies, training, checkpoints, processes, timing, parts of reports.

It imports nothing from the rest of `benchmarks`. Modules that run in another library's environment, such as `timing`,
need the standard library alone.
"""

FRAMEWORKS = ("nnx", "linen", "brainstate")
