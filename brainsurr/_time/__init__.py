"""Time: layers in sequence, networks in blocks of time steps, and the check of layers without a state."""
