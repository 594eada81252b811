"""The layers of neurons, once for the three frameworks: equation, arguments, step, delay, bounds, sequence."""
