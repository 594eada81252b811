"""Convert layers to and from NIR graphs; the public API is `brainsurr.nir`."""

from importlib.metadata import version

from .._extras import needs

with needs("nir"):
    import nir as nir

if [int(part) for part in version("nir").split(".")[:3] if part.isdigit()] < [1, 0, 7]:
    raise ImportError(
        f"brainsurr.nir: expected nir 1.0.7 or later, whose neurons say what they reset to, got {version('nir')}: "
        'write pip install --no-deps "nir>=1.0.7". sinabs and rockpool, which ask pip for an older one, run with it',
        name="nir",
    )
