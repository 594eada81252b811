"""The networks that a run trains, and the settings that its numbers depend on."""

from typing import Any, NamedTuple

import jax

import brainsurr as bs

from ..lib import results

# The options of jax that can change bits.
OPTIONS = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
    "jax_numpy_dtype_promotion",
)


class Job(NamedTuple):
    """All that the numbers depend on, apart from versions and device.

    Attributes:
      framework: one of `FRAMEWORKS`.
      surrogate: of the LIF layers.
      learnable: the names of its parameters that the second spiking network trains; without any there is no such
        network.
      epochs: passes over the training images.
      seeds: how many networks of each kind are trained, from the seeds 0, 1, ...
      dtype: of activations.
    """

    framework: str
    surrogate: bs.Surrogate
    learnable: list[str]
    epochs: int
    seeds: int
    dtype: str

    def networks(self) -> dict[str, tuple[bs.Surrogate | None, tuple[str, ...]]]:
        """Return the surrogate and the trained parameters of each network by name; a ReLU network has no surrogate."""
        trained = {"LIF, trained": (self.surrogate, tuple(self.learnable))} if self.learnable else {}
        return {"LIF": (self.surrogate, ()), **trained, "ReLU": (None, ())}

    def settings(self) -> dict[str, Any]:
        """Return the settings that a result shows."""
        shown = {"framework": self.framework, "surrogate": repr(self.surrogate)}
        return shown | {"epochs": self.epochs, "dtype": self.dtype}

    def about(self) -> dict[str, Any]:
        """Return everything that must be equal for a resumed run to end with the same bits."""
        here, options = results.environment(), {name: str(getattr(jax.config, name)) for name in OPTIONS}
        more = {"seeds": self.seeds, "learnable": self.learnable, "python": here["python"], "device": here["device"]}
        return self.settings() | more | options | here["versions"]
