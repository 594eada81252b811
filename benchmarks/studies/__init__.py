"""Which surrogate, and which alpha."""
