"""Time: one scan, networks in blocks of time, and the guard that a layer without a state mixes no time steps."""
