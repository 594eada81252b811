"""One script a claim, and what they share."""

FRAMEWORKS = ("nnx", "linen", "brainstate")
