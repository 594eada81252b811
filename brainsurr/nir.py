"""Convert networks to and from NIR, the exchange format of neuromorphic software; needs the extra ``nir``."""

import os
import warnings
from importlib import import_module
from typing import Any

import numpy as np

from ._checks import check_flag, check_number, check_word, is_integer
from ._nir import chain
from ._nir import nir as _nir
from ._nir.chain import GraphReader, GraphWriter, error_prefix, expect
from ._nir.layers import Population, as_arrays, build
from ._nir.nodes import PAIRS
from ._nir.rounding import ROUND, RoundingReport, report, rounded
from ._nir.targets import TARGETS, adapt_to_target
from ._report import package_of
from ._surrogate import Surrogate
from ._time.guard import is_dropout
from .neurons.lif import LIF, RESETS

__all__ = ["from_nir", "quantized", "rounding", "to_nir"]

HOSTS = ("nnx", "linen", "brainstate")
WRITERS = {layer: write for layer, write, *_ in PAIRS}
READERS = {kind: read for _, _, read, *kinds in PAIRS for kind in kinds}


def to_nir(
    net: Any,
    input_shape: tuple[int, ...],
    *,
    dt: float,
    method: str | None = None,
    r: str | None = None,
    reader: str | None = None,
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

    A ``BatchNorm`` in evaluation becomes part of the weights before it. A ``Dropout`` is left out.

    Surrogates, dtypes of states and what else NIR has no word for go into the metadata, for `from_nir`.
    What is trained is not said, and random spikes are written as they are in evaluation.

    Args:
      net: a ``SpikingSequential``; that of Flax Linen with its variables, ``net.bind(variables)``.
      input_shape: of one time step of one sample, ``(features,)`` or ``(height, width, channels)``.
      dt: the step of who reads it, in seconds or what it takes for its unit: snnTorch 1e-4, sinabs, Speck and spyx 1.
      method: how it steps: ``"euler"``, the default, decay = 1 - dt / tau, or ``"exp"``, decay = exp(-dt / tau).
      r: the resistance of the neurons, ``"1"``, the default, or ``"tau/dt"``, with which they take all of their input
        (1 / (1 - decay) with exp).
      reader: the library that reads it, one of ``norse``, ``snntorch``, ``spikingjelly``, ``spyx``, ``jaxpike``,
        ``sparx``, ``sinabs``, ``speck`` (sinabs for the chip), ``rockpool`` (Xylo) and ``lava`` (Loihi): writes what it
        computes as the same, by its ``method`` and ``r``, and refuses what it can't, with what to change. Without it
        the graph is NIR's own.
      lossy: whether to write resets that NIR does not have, your own surrogates, and layers with a ``dtype`` of their
        own, with a warning. The metadata then names the reset, which only `from_nir` reads; other libraries reset to
        zero, so with a ``reader`` a reset has to be its own all the same. Surrogate and dtype are left out.

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
    host = _host_of(net, "to_nir")
    check_flag("to_nir: lossy", lossy)
    with error_prefix("to_nir"):
        shape = _shape("input_shape to be the shape of one time step of one sample, (features,)", input_shape)
        check_word("reader", reader, tuple(TARGETS))
        target = TARGETS[reader]
        expect(reader is None or method is r is None, f"no method and no r, which reader={reader!r} sets", (method, r))
        method, r = target.method if method is None else method, target.r if r is None else r
        how = _discretization(dt, method, r)
        expect(np.isclose(how.dt, target.dt or how.dt), f"dt={target.dt}, the only step of {reader}", dt)
        to = GraphWriter(shape, how, target, reader)
        about = {"dt": how.dt, "method": how.method} | ({"reader": reader} if reader else {})
        to.add("input", _nir.Input(np.array(to.order.shape)), about)
        for i, given in enumerate(net.layers):
            to.owner = f"layer {i}, {type(given).__name__}"
            if is_dropout(given):
                continue
            try:
                given = as_arrays(host, given, to.shape)
                kind = type(given.neuron if isinstance(given, Population) else given)
                kind = Surrogate if issubclass(kind, Surrogate) else kind
                expect(kind in WRITERS, "a layer that NIR has", f"{kind.__name__}: see docs/nir.md#instead")
                WRITERS[kind](f"{kind.__name__.lower()}_{i}", given, to)
            except Exception as error:  # all errors are raised at once
                to.refused.append(f"{to.owner}: {error}")
                if not isinstance(given, Population):  # then the next layer's input has an unknown shape
                    break
        else:
            to.check_end()
        if to.lost and not lossy:
            to.refused.append(f"{to.lost[0]}: lossy=True writes the file without it")
        to.add("output", _nir.Output(np.array(to.order.shape)))
        if reader is not None:
            adapt_to_target(to)
        if to.refused:
            raise ValueError("\n".join(dict.fromkeys(to.refused)))
        graph = to.graph()
    if to.lost:
        warnings.warn(f"to_nir: left out for other libraries: {'; '.join(to.lost)}", UserWarning, stacklevel=2)
    return graph


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
      ValueError: the file can't be read, there is no such layer here, or no neuron for which something is said.

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
    check_word("from_nir: reset", reset, (*RESETS, None))
    check_flag("from_nir: reset_delay", reset_delay, optional=True)
    if isinstance(graph, str | os.PathLike):
        with error_prefix(f"from_nir: expected graph to be the path of a NIR file, got {os.fspath(graph)!r}"):
            graph = _nir.read(graph, type_check=False)
    if not isinstance(graph, _nir.NIRGraph):
        raise TypeError(f"from_nir: expected graph to be a nir.NIRGraph or the path of one, got {graph!r}")
    with error_prefix("from_nir"):
        how = _discretization(dt, method, r)
        (_, start, _), *nodes = chain.chain_of(graph)
        sizes = np.ravel(start.input_type["input"]).tolist()
        if sizes[:1] == [1] and np.array_equal(sizes[1:], np.ravel(nodes[0][1].input_type["input"])):
            del sizes[0]  # the axis of a batch, as rockpool writes it
        channels, *space = _shape("an Input of a known shape", sizes)
        overrides = {"reset": reset, "reset_delay": reset_delay, "surrogate": spike_fn}
        to, written = GraphReader((*space, channels), how, overrides), chain.metadata_of(start)
        here = {"dt": how.dt, "method": method, "reader": None}
        if TARGETS.get(written.get("reader"), TARGETS[None]).reset == TARGETS[None].reset:
            del here["reader"]  # its files mean the same by NIR's own equations
        if any(written.get(name, value) != value for name, value in here.items()):
            warnings.warn(f"from_nir: the file was written with {written}, and is read with {here}", stacklevel=2)
        for name, node, partner in nodes:
            to.owner = f"node {name!r}"
            with error_prefix(to.owner):
                expect(type(node) in READERS, f"one of {sorted(k.__name__ for k in READERS)}", type(node).__name__)
                READERS[type(node)](node, to, *filter(None, [partner]))
        to.check_end()
        kinds = Surrogate | LIF if [*to.overrides] == ["surrogate"] else LIF
        fits = not to.overrides or any(isinstance(getattr(layer, "neuron", layer), kinds) for layer, *_ in to.layers)
        expect(fits, f"neurons that have {' and '.join(to.overrides)}", "none")
        return build(import_module(f"brainsurr.{host}._nir"), to.layers)


def quantized(net: Any, *, reader: str, lowest: float | None = None, bits: int = 8) -> Any:
    r"""Return a network in the integers that the tool of a chip makes of a file; train through it.

    With the file of ``to_nir(net, ..., reader=reader)``, the tool rounds weights :math:`w`, biases and thresholds on
    one scale :math:`c`, and neurons compute in integers, with several spikes in a step:

    .. math::
       \hat w = \mathrm{round}(c\, w), \qquad \hat\theta = \mathrm{round}(c\, \theta), \qquad
       s = \min(\max(\lfloor \hat u / \hat\theta \rfloor, 0), \mathrm{levels}), \qquad \hat v' = \hat u - \hat\theta s

    Of Speck, sinabs takes for :math:`c` the largest number for which the weights and the bias of a layer fit into 8
    bits, its threshold and lower limit into 16. The potential is :math:`\hat u = \max(\hat v + x, \mathrm{lowest})`.

    Of Xylo, rockpool takes 127 divided by the largest weight, of the last layer and of all others, and decays that are
    bit shifts, :math:`D(a) = a - \lfloor a / 2^k \rfloor`, with k nearest to log2(tau / dt); they take at least 1 off a
    positive number. A synapse decays its input as well, a membrane does not:

    .. math:: \hat\imath' = D_\mathrm{syn}(\hat\imath + x), \qquad \hat u = D_\mathrm{mem}(\hat v) + \hat\imath'

    So the threshold that is rounded is :math:`\theta` times the decay of the synapse; ``decay_input`` divides it by
    1 - decay, of the synapse and of the membrane. Sums stop at 16 bits. The last layer has one spike in a step at most,
    the others 31.

    Of Loihi, each layer has the largest :math:`c` for which its weights are multiples of :math:`2^{9 - \mathrm{bits}}`
    up to 256 less one of them, its threshold is at most :math:`2^{17} - 1`, and biases fit. Potentials are in 64ths,
    and decay toward 0 by a whole number of 4096ths, :math:`\hat u = \mathrm{trunc}(d\, \hat v / 4096) + x`. There is
    one spike in a step, :math:`\hat u > \hat\theta`, which resets to zero.

    The gradient passes what is rounded as if it were not, and goes to the weights, biases, thresholds and decays of
    ``net``; a spike has that of its surrogate, at the nearest multiple of the threshold, in the units of ``net``.
    Call it inside of the loss, under ``jax.jit`` too. Integer inputs, such as spikes, give integers throughout.

    XyloSim gives the spikes of each layer a step later to the next one, and takes 15 spikes of an input in a step at
    most; this network does not.

    Args:
      net: a ``SpikingSequential`` that `to_nir` writes for the reader; that of Flax Linen with its variables,
        ``net.bind(variables)``.
      reader: ``"speck"``, ``"rockpool"`` (Xylo) or ``"lava"`` (Loihi).
      lowest: the lower limit of potentials in thresholds that sinabs is given, its ``min_v_mem``; below 0, of Speck
        alone. None: -20.
      bits: of weights with their sign, 2 to 8; others than 8 are of Loihi alone.

    Returns:
      A ``SpikingSequential`` for the same inputs, ``[time, batch, ...]``, and with the same ``return_spikes`` and
      ``events``, whose weights and thresholds are the integers, in float32; for Flax Linen a pair of it and its
      variables.

    Raises:
      TypeError: ``net`` is not a ``SpikingSequential``.
      ValueError: the chip has no such layers, or ``lowest`` or ``bits`` are of another one.

    References:
      Bengio, Léonard, Courville 2013, "Estimating or Propagating Gradients Through Stochastic Neurons for Conditional
      Computation", the straight-through estimator. Davies et al. 2018, "Loihi: A Neuromorphic Manycore Processor with
      On-Chip Learning". How the tools round is in ``determine_discretization_scale`` of sinabs, ``global_quantize`` of
      rockpool, and the fixed-point models of ``Dense`` and ``LIF`` of Lava.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from brainsurr.nir import quantized
      >>> from brainsurr.nnx import LIF, SpikingSequential
      >>> linear = nnx.Linear(2, 2, use_bias=False, rngs=nnx.Rngs(0))
      >>> linear.kernel[...] = jnp.array([[0.5, -0.2], [0.1, 0.3]])
      >>> net = quantized(SpikingSequential([linear, LIF(2, decay=1.0)]), reader="speck")
      >>> print(net.layers[0].kernel[...], net.layers[1].threshold[...])
      [[127. -51.]
       [ 25.  76.]] 254.0
    """
    host, _, after = _before_and_after("quantized", net, reader, lowest, bits)
    sizes = (getattr(layer, "in_size", None) or np.shape(getattr(layer, "kernel", ()))[-2:-1] for layer in after)
    layers = [(layer, size, f"layer {i}") for i, (layer, size) in enumerate(zip(after, sizes, strict=True))]
    return build(host, layers, return_spikes=net.return_spikes, events=net.events)


def rounding(net: Any, *, reader: str, lowest: float | None = None, bits: int = 8) -> RoundingReport:
    """Return what a chip holds of each layer, as `quantized` rounds it: print it, or read its rows.

    Args:
      net: as of `quantized`.
      reader: likewise.
      lowest: likewise.
      bits: likewise.

    Returns:
      A mapping from layers, such as ``"0 Linear"``, to rows: the ``scale`` of weights, integers for each unit, the
      ``largest`` of them as an integer, and the share in [0, 1] that is ``lost``, since it rounds to 0; the smallest
      and the largest ``threshold``, as integers; the ``decay`` here, and the one ``held`` there. What a layer does not
      have is None.

    Raises:
      TypeError: as of `quantized`.
      ValueError: likewise.

    Example:
      >>> from flax import nnx
      >>> from brainsurr.nir import rounding
      >>> from brainsurr.nnx import LI, LIF, SpikingSequential
      >>> linear = nnx.Linear(2, 2, use_bias=False, rngs=nnx.Rngs(0))
      >>> layers = [linear, LI(2, decay=0.8), LIF(2, decay=0.9)]
      >>> print(rounding(SpikingSequential(layers * 2), reader="rockpool")["1 LI"].held)
      0.75
    """
    _, before, after = _before_and_after("rounding", net, reader, lowest, bits)
    return report(net.layers, before, after)


def _before_and_after(name: str, net: Any, reader: str, lowest: Any, bits: Any) -> tuple[Any, list[Any], list[Any]]:
    """Return how a framework stores layers, and the layers of a network as arrays and neurons, as given and rounded."""
    host = _host_of(net, name)
    check_word(f"{name}: reader", reader, [*ROUND])
    with error_prefix(name):
        fits = lowest is None or (reader == "speck" and -np.inf < lowest < 0)
        expect(fits, "lowest to be None, or for speck a number below 0", repr(lowest))
        fits = bits == 8 or (reader == "lava" and bits in range(2, 8))
        expect(fits, "bits to be 8, or for lava an integer from 2 on", repr(bits))
        return host, *rounded(host, net.layers, reader, lowest, bits)


def _shape(what: str, sizes: Any) -> chain.Shape:
    expect(isinstance(sizes, tuple | list) and sizes and all(is_integer(n) and n > 0 for n in sizes), what, sizes)
    return tuple(map(int, sizes))


def _host_of(net: Any, caller: str) -> Any:
    """Return how the framework of a network stores layers, without importing any other."""
    name = package_of(net)
    if name in HOSTS and isinstance(net, import_module(f"brainsurr.{name}").SpikingSequential):
        return import_module(f"brainsurr.{name}._nir")
    kind = f"{type(net).__module__}.{type(net).__qualname__}"
    raise TypeError(f"{caller}: expected net to be a SpikingSequential of {', '.join(HOSTS)}, got {kind}")


def _discretization(dt: Any, method: Any, r: Any) -> chain.Discretization:
    check_number("dt", dt, "above 0", lambda n: n > 0)
    check_word("method", method, ("euler", "exp"))
    check_word("r", r, ("1", "tau/dt", None))
    return chain.Discretization(float(dt), method, r)
