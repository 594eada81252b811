"""Convert networks to and from NIR, the exchange format of neuromorphic software; needs the extra ``nir``."""

import math
import os
from importlib import import_module
from typing import Any

import numpy as np

from ._checks import check_flag, check_function, check_word, is_size
from ._nir.times import METHODS, RESISTANCES
from ._optional import needs

with needs("nir"):
    import nir as _nir

    from ._nir.reading import layers_of_graph
    from ._nir.writer import Writer
    from ._nir.writing import write

__all__ = ["from_nir", "to_nir"]

HOSTS = ("nnx", "linen", "brainstate")


def to_nir(
    net: Any,
    input_shape: tuple[int, ...],
    *,
    dt: float,
    method: str = "euler",
    r: str = "1",
    lossy: bool = False,
) -> "_nir.NIRGraph":
    r"""Return a network as a graph of NIR, for ``nir.write(path, graph)``.

    NIR holds differential equations, :math:`\tau \dot v = -v + r\,I`, and fixes no discretisation. A reader uses a step
    and a method of its own, and gets the same spikes if they are ``dt`` and ``method``. A potential differs by a factor
    from the one here, which is taken to the threshold.

    NIR has linear layers, convolutions of one or two axes, average pools, a flatten, delays, leaky integrators, and
    neurons that reset to a value: ``LIF(reset="zero")``, with recurrent weights too. ``LI`` before ``LIF`` is its
    ``CubaLIF``, ``reset="none"`` a leaky integrator before a threshold. All else is refused. Shapes there have the
    channels first, and what a ``Flatten`` gives is in that order. There a spike needs a potential above the threshold,
    here one at it.

    Surrogates, dtypes of potentials and what else has no effect on the spikes go into the metadata, for `from_nir`.
    What is trained is not said, and random spikes are written as they are in evaluation.

    Args:
      net: a ``SpikingSequential``; that of Flax Linen with its variables, ``net.bind(variables)``.
      input_shape: of one time step of one sample, ``(features,)`` or ``(height, width, channels)``.
      dt: the step of who reads it, in seconds or what it takes for its unit: snnTorch 1e-4, norse 1e-3, spyx 1.
      method: how it steps: ``"euler"`` (snnTorch, norse, spyx), decay = 1 - dt / tau, or ``"exp"`` (jaxpike), decay =
        exp(-dt / tau).
      r: the resistance of the neurons, ``"1"`` or ``"tau/dt"``. norse takes that of a LIF for 1 whatever it is;
        snnTorch needs tau / dt with recurrent weights and synapses, and reads both without.
      lossy: whether to write resets that NIR does not have, your own surrogates, and layers with a ``dtype`` of their
        own, with a warning. The metadata then names the reset, which only `from_nir` reads; other libraries reset to
        zero. Surrogate and dtype are left out.

    Raises:
      TypeError: ``net`` is not a ``SpikingSequential``.
      ValueError: NIR has no such layer, or not without loss; nothing is written then.

    Example:
      >>> import nir
      >>> from brainsurr.nir import to_nir
      >>> from brainsurr.nnx import LIF, SpikingSequential
      >>> graph = to_nir(SpikingSequential([LIF(2, decay=0.75, reset="zero")]), (2,), dt=1.0)
      >>> print(graph.nodes["lif_0"].tau, graph.nodes["lif_0"].v_threshold)
      [4. 4.] [0.25 0.25]
    """
    host = _host_of(net)
    shape = _check_shape(input_shape)
    _check_how("to_nir", dt, method)
    check_word("to_nir: r", r, RESISTANCES)
    check_flag("to_nir: lossy", lossy)
    writer = Writer(shape, float(dt), method, r)
    owners = [f"to_nir: layer {i}, {type(layer).__name__}" for i, layer in enumerate(net.layers)]
    write(zip(owners, map(_module(host).as_arrays, net.layers), strict=True), writer)
    return writer.graph(lossy)


def from_nir(
    graph: Any,
    host: str,
    *,
    dt: float,
    method: str = "euler",
    r: str | None = None,
    reset: str | None = None,
    reset_delay: bool | None = None,
    spike_fn: Any = None,
) -> Any:
    """Return a graph of NIR, or what a file of NIR holds, as a network.

    The inverse of `to_nir`, and for the files of others. A file need not say everything: not how large a step is, nor,
    beyond a reset to a value, how neurons reset. The arguments say what its writer meant.

    Args:
      graph: a ``nir.NIRGraph``, or the path of a file.
      host: ``"nnx"``, ``"linen"`` or ``"brainstate"``.
      dt: the step that the file was written for. With another ``dt`` or ``method`` than `to_nir` had, it warns.
      method: how its writer steps, ``"euler"`` or ``"exp"``.
      r: what its writer means by the resistances, ``"1"`` or ``"tau/dt"``, whatever they are; None takes them as they
        are. spyx means tau / dt.
      reset: ``"subtract"``, ``"zero"`` or ``"none"`` for all neurons; None takes what the file says.
      reset_delay: whether all neurons reset one step later; None takes what the file says.
      spike_fn: a surrogate for all neurons; None takes those that `to_nir` wrote, and else the default of the layers.

    Returns:
      A ``SpikingSequential``; for Flax Linen a pair of it and its variables.

    Raises:
      ValueError: the file can't be read, or there is no such layer here.

    Example:
      >>> import nir, numpy as np
      >>> from brainsurr.nir import from_nir
      >>> one = np.ones(2)
      >>> lif = nir.LIF(tau=4 * one, r=one, v_leak=0 * one, v_threshold=one)
      >>> graph = nir.NIRGraph.from_list(lif)
      >>> net = from_nir(graph, "nnx", dt=1.0)
      >>> print(net.layers[0].decay, net.layers[0].decay_input, net.layers[0].reset)
      0.75 True zero
    """
    check_word("from_nir: host", host, HOSTS)
    _check_how("from_nir", dt, method)
    check_word("from_nir: r", r, (*RESISTANCES, None))
    check_word("from_nir: reset", reset, ("subtract", "zero", "none", None))
    check_flag("from_nir: reset_delay", reset_delay, optional=True)
    if spike_fn is not None:
        check_function("from_nir: spike_fn", spike_fn, "a surrogate or a function")
    words = {"r": r, "reset": reset, "reset_delay": reset_delay, "spike_fn": spike_fn}
    return _module(host).build(layers_of_graph(_graph_of(graph), dt=float(dt), method=method, **words))


def _module(host: str):
    return import_module(f"brainsurr.{host}._nir")


def _host_of(net: Any) -> str:
    """Return the framework of a network, without importing any."""
    for cls in type(net).__mro__:
        package, _, rest = cls.__module__.partition(".")
        host = rest.partition(".")[0]
        if package == __package__ and host in HOSTS and cls.__name__ == "SpikingSequential":
            return host
    raise TypeError(f"to_nir: expected net to be a SpikingSequential, got {net!r}")


def _check_shape(input_shape: Any) -> tuple[int, ...]:
    shape = tuple(input_shape) if isinstance(input_shape, tuple | list) else ()
    if not shape or not all(is_size(n) and n > 0 for n in shape):
        raise ValueError(
            f"to_nir: expected input_shape to be that of one time step of one sample, (features,), got {input_shape!r}"
        )
    return tuple(map(int, shape))


def _check_how(owner: str, dt: Any, method: Any):
    numbers = int | float | np.integer | np.floating
    if isinstance(dt, bool) or not isinstance(dt, numbers) or not 0 < dt < math.inf:
        raise ValueError(f"{owner}: expected dt to be a number above 0, got {dt!r}")
    check_word(f"{owner}: method", method, METHODS)


def _graph_of(graph: Any) -> "_nir.NIRGraph":
    if isinstance(graph, _nir.NIRGraph):
        return graph
    if not isinstance(graph, str | os.PathLike):
        raise TypeError(f"from_nir: expected graph to be a nir.NIRGraph or the path of a file, got {graph!r}")
    if not os.path.isfile(graph):
        raise ValueError(f"from_nir: expected graph to be the path of a file, got {os.fspath(graph)!r}: not a file")
    try:
        content = _nir.read(graph, type_check=False)
    except Exception as error:  # nir raises arbitrary exceptions on bad files
        got = f"{type(error).__name__}: {error}"
        raise ValueError(f"from_nir: expected {os.fspath(graph)!r} to be a file that nir reads, got {got}") from error
    if not isinstance(content, _nir.NIRGraph):
        raise ValueError(f"from_nir: expected {os.fspath(graph)!r} to hold a graph, got {type(content).__name__}")
    return content
