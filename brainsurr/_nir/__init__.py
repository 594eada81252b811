"""NIR: layers as plain arrays into a graph, and the way back. `brainsurr.nir` is what is called."""

from .._optional import needs

with needs("nir"):
    import nir  # noqa: F401
