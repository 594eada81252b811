"""Time: the scan of a layer, networks in blocks of time steps, and the check of layers without a state."""
