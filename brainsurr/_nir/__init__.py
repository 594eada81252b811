"""Convert layers to and from NIR graphs; the public API is `brainsurr.nir`."""

from .._extras import needs

with needs("nir"):
    import nir as nir
