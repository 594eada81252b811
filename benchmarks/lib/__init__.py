"""What all the others use."""

FRAMEWORKS = ("nnx", "linen", "brainstate")
