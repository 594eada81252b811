"""Convert layers to and from NIR graphs; the public API is `brainsurr.nir`."""

from .._wrong_calls import needs

with needs("nir"):
    import nir as nir
