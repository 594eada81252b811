"""Convert networks to and from NIR, the exchange format for neuromorphic software. Needs the extra ``nir``."""

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
from ._nir.rounding import RoundingReport, report, rounded
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
    r"""Convert a network to a NIR graph, for ``nir.write(path, graph)``.

    NIR stores differential equations, :math:`\tau \dot v = -v + r\,I`, without a discretisation. The library that reads
    the file uses its own time step and method, and computes the same spikes if these equal ``dt`` and ``method``. Its
    membrane potentials may differ from those here by a factor; the threshold is scaled by the same factor.

    NIR supports linear layers, convolutions over one or two axes, average pooling, flatten, delays, leaky integrators,
    and neurons that reset to a value: ``LIF(reset="zero")``, also with recurrent weights. An ``LI`` before a ``LIF``
    becomes a NIR ``CubaLIF``, and ``reset="none"`` becomes a leaky integrator before a threshold. Any other layer
    raises an error. NIR shapes are channels-first, and so is the order of the entries after a ``Flatten``. In NIR, a
    neuron fires if its potential is above the threshold; here, it also fires if the potential equals the threshold.

    A ``BatchNorm`` in evaluation is merged into the weights before it. A ``Dropout`` is left out.

    Surrogates, state dtypes and other properties that NIR can't express are stored as metadata, which `from_nir` reads.
    The file does not say which parameters are trainable. Layers with random spikes are written with the deterministic
    spikes of evaluation.

    Args:
      net: a ``SpikingSequential``. For Flax Linen, pass it with its variables, ``net.bind(variables)``.
      input_shape: the shape of one time step of one sample, ``(features,)`` or ``(height, width, channels)``.
      dt: the time step of the library that reads the file, in seconds or in the unit of that library: 1e-4 for
        snnTorch; 1 for sinabs, Speck and spyx.
      method: how the library discretises the equations: ``"euler"`` (the default), decay = 1 - dt / tau, or ``"exp"``,
        decay = exp(-dt / tau).
      r: the resistance of neurons that fire: ``"1"`` (the default) or ``"tau/dt"``, which gives the input a gain of 1.
        With ``method="exp"``, ``"tau/dt"`` stands for 1 / (1 - decay). An ``LI`` always has the gain of its layer.
      reader: the target library, one of ``norse``, ``snntorch``, ``spikingjelly``, ``spyx``, ``jaxpike``, ``sparx``,
        ``sinabs``, ``speck`` (sinabs for the chip), ``rockpool`` (Xylo) and ``lava`` (Loihi). It sets ``method`` and
        ``r``, and the graph is written so that the library computes the same result. If the library does not support a
        layer, an error says what to change. If None, the graph follows NIR's own definitions.
      lossy: if True, also write networks with resets that NIR does not have, your own surrogates, or layers with their
        own ``dtype``, and warn. The metadata then names the reset, but only `from_nir` reads it; other libraries reset
        to zero. With a ``reader``, the library must therefore support the reset itself. Your surrogates and dtypes are
        left out. If False, such networks raise an error.

    Returns:
      A ``nir.NIRGraph``.

    Raises:
      TypeError: ``net`` is not a ``SpikingSequential``.
      ValueError: NIR or the target library does not support a layer, or only with ``lossy=True``.

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
        expect(reader is None or method is r is None, f"method=None and r=None, since {reader=} sets them", (method, r))
        method, r = target.method if method is None else method, target.r if r is None else r
        how = _discretization(dt, method, r)
        expect(np.isclose(how.dt, target.dt or how.dt), f"dt={target.dt}, the fixed time step of {reader}", dt)
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
                if not isinstance(given, Population) or given.neuron._outputs(to.shape[-1]) != to.shape[-1]:
                    break  # the input shape of the next layer is unknown
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
    """Convert a NIR graph or NIR file to a network.

    This is the inverse of `to_nir`, and also reads files of other libraries. A file need not state the time step, or
    how neurons reset, except for a reset to a value. Pass the meaning of the exporting library as arguments.

    Args:
      graph: a ``nir.NIRGraph``, or the path of a file.
      host: ``"nnx"``, ``"linen"`` or ``"brainstate"``.
      dt: the time step that the file was written for. There is a warning if ``dt`` or ``method`` differs from the
        arguments of `to_nir`.
      method: how the exporting library discretises the equations, ``"euler"`` or ``"exp"``.
      r: the resistance that the exporting library assumes, regardless of the file: ``"1"`` or ``"tau/dt"``, as in spyx.
        If None, use the resistance in the file.
      reset: ``"subtract"``, ``"zero"`` or ``"none"`` for all neurons. If None, use the reset in the file.
      reset_delay: If True, all neurons reset one step later; if False, none does. If None, follow the file.
      spike_fn: a surrogate for all neurons. If None, use the surrogates that `to_nir` wrote, or else the default of the
        layers.

    Returns:
      A ``SpikingSequential``; for Flax Linen, a pair of the network and its variables.

    Raises:
      ValueError: the file can't be read, brainsurr has no equivalent layer, or an argument applies to none of the
        neurons.

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
            del sizes[0]  # the batch axis, which rockpool adds to files
        channels, *space = _shape("an Input of a known shape", sizes)
        overrides = {"reset": reset, "reset_delay": reset_delay, "surrogate": spike_fn}
        to, written = GraphReader((*space, channels), how, overrides), chain.metadata_of(start)
        here = {"dt": how.dt, "method": method, "reader": None}
        if TARGETS.get(written.get("reader"), TARGETS[None]).reset == TARGETS[None].reset:
            del here["reader"]  # files for this reader follow NIR's own equations
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
    r"""Round a network to the integers that the tool of a chip computes from a file, to train through the rounding.

    The tool reads the file that ``to_nir(net, ..., reader=reader)`` writes. It rounds weights :math:`w`, biases and
    thresholds with one scale :math:`c`. Neurons compute in integers, with multiple spikes per time step:

    .. math::
       \hat w = \mathrm{round}(c\, w), \qquad \hat\theta = \mathrm{round}(c\, \theta), \qquad
       s = \min(\max(\lfloor \hat u / \hat\theta \rfloor, 0), \mathrm{levels}), \qquad \hat v' = \hat u - \hat\theta s

    *Speck.* sinabs sets :math:`c` to the largest number for which the weights and the bias of a layer fit into 8 bits,
    and its threshold and lower limit into 16 bits. The potential is :math:`\hat u = \max(\hat v + x, \mathrm{lowest})`.

    *Xylo.* rockpool sets :math:`c` to 127 divided by the largest weight, separately for the last layer and for all
    other layers together. Decays become bit shifts, :math:`D(a) = a - \lfloor a / 2^k \rfloor`, with k nearest to
    log2(tau / dt). A shift subtracts at least 1 from a positive number. A synapse decays its input as well, but a
    membrane does not:

    .. math:: \hat\imath' = D_\mathrm{syn}(\hat\imath + x), \qquad \hat u = D_\mathrm{mem}(\hat v) + \hat\imath'

    Therefore the threshold is multiplied by the decay of the synapse before it is rounded. ``decay_input`` divides it
    by 1 - decay of the synapse and of the membrane. Sums saturate at 16 bits. Neurons of the last layer fire at most
    once per step, other neurons at most 31 times.

    *Loihi.* Each layer uses the largest :math:`c` for which its weights are multiples of :math:`2^{9 - \mathrm{bits}}`,
    at most :math:`256 - 2^{9 - \mathrm{bits}}`, its threshold is at most :math:`2^{17} - 1`, and its biases fit.
    Potentials are in units of 1/64, and decay toward 0 by an integer number of 4096ths,
    :math:`\hat u = \mathrm{trunc}(d\, \hat v / 4096) + x`. Neurons fire at most once per step, if
    :math:`\hat u > \hat\theta`, and reset to zero.

    Gradients pass through the rounding unchanged (straight-through) to the weights, biases, thresholds and decays of
    ``net``. A spike has the gradient of its surrogate at the nearest multiple of the threshold, in the units of
    ``net``. Call this function inside the loss; it also works under ``jax.jit``. With integer inputs, such as spikes,
    all values are integers.

    XyloSim passes the spikes of each layer to the next one a step later, and accepts at most 15 spikes per input and
    step. This network has neither the delay nor the limit.

    Args:
      net: a ``SpikingSequential`` that `to_nir` can write for the reader. For Flax Linen, pass it with its variables,
        ``net.bind(variables)``.
      reader: ``"speck"``, ``"rockpool"`` (Xylo) or ``"lava"`` (Loihi).
      lowest: the lower limit of potentials, as a multiple of the threshold: the ``min_v_mem`` of sinabs. A negative
        number, for Speck only. Defaults to -20.
      bits: the number of bits of a weight, including its sign, from 2 to 8. Only Loihi supports fewer than 8.

    Returns:
      A ``SpikingSequential`` for the same inputs, ``[time, batch, ...]``, with the same ``return_spikes`` and
      ``events``. Its weights and thresholds are the integers, in float32. For Flax Linen, a pair of the network and its
      variables.

    Raises:
      TypeError: ``net`` is not a ``SpikingSequential``.
      ValueError: the chip does not support a layer, or the argument ``lowest`` or ``bits``.

    References:
      Bengio, Léonard, Courville 2013, "Estimating or Propagating Gradients Through Stochastic Neurons for Conditional
      Computation", the straight-through estimator. Davies et al. 2018, "Loihi: A Neuromorphic Manycore Processor with
      On-Chip Learning". The rounding of the tools is in ``determine_discretization_scale`` of sinabs,
      ``global_quantize`` of rockpool, and the fixed-point models of ``Dense`` and ``LIF`` of Lava.

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
    """Report how a chip stores each layer, as `quantized` rounds it: print the report, or read its rows.

    Args:
      net: see `quantized`.
      reader: see `quantized`.
      lowest: see `quantized`.
      bits: see `quantized`.

    Returns:
      A mapping from layers, such as ``"0 Linear"``, to rows. A row for weights contains their ``scale`` (integer units
      per unit of weight), the ``largest`` weight as an integer, and the fraction ``lost`` of nonzero weights that round
      to 0. A row for neurons contains the smallest and the largest ``threshold`` as integers, the ``decay`` in the
      network, and the decay ``held`` on the chip. All other entries are None.

    Raises:
      TypeError: see `quantized`.
      ValueError: see `quantized`.

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
    """Return the framework's ``_nir`` module, and the layers as arrays and neurons before and after rounding."""
    host = _host_of(net, name)
    check_word(f"{name}: reader", reader, [key for key, target in TARGETS.items() if target.round])
    with error_prefix(name):
        option = TARGETS[reader].option
        fits = lowest is None or (option == "lowest" and -np.inf < lowest < 0)
        expect(fits, "lowest to be None, or a finite number below 0 for speck", repr(lowest))
        fits = bits == 8 or (option == "bits" and bits in range(2, 8))
        expect(fits, "bits to be 8, or an integer from 2 to 8 for lava", repr(bits))
        return host, *rounded(host, net.layers, reader, TARGETS[reader], lowest=lowest, bits=bits)


def _shape(what: str, sizes: Any) -> chain.Shape:
    expect(isinstance(sizes, tuple | list) and sizes and all(is_integer(n) and n > 0 for n in sizes), what, sizes)
    return tuple(map(int, sizes))


def _host_of(net: Any, caller: str) -> Any:
    """Return the ``_nir`` module of a network's framework, without importing other frameworks."""
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
