"""The layers of neurons, once for the three frameworks: equation, arguments and step; delays, networks, bounds."""
