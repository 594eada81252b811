"""What a graph of NIR means, in float64, from the equations of its documentation; apart from the package.

A step of ``tau dv/dt = v_leak - v + r I`` is Euler's, or the exact one for an input that stays for a step;
``dv/dt = r I`` adds ``dt r I``; a spike of ``v > v_threshold`` sets v to v_reset. A potential starts at v_leak, of
which NIR says nothing. Time first, channels first, no batch.
"""

import jax
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def simulate(graph, xs, dt, method="euler", rule=None):
    """Outputs over time, and how far the potentials of neurons came to their threshold, relative to it.

    ``rule(node, state, i)`` takes the step of neurons and integrators as a library does that reads them otherwise.
    """
    state, near, spikes, ys = {}, [np.inf], {}, []
    # The nodes that are fed by what they feed, and all others from the input to the output.
    loops = {a: b for a, b in graph.edges if (b, a) in graph.edges and hasattr(graph.nodes[a], "weight")}
    order = ["input"]
    while order[-1] != "output":
        order += [end for start, end in graph.edges if start == order[-1] and end not in loops]
    for x in np.asarray(xs, np.float64):
        values = {"input": x}
        for name in order[1:]:
            # Of a cycle, what went round in the step before.
            into = [start for start, end in graph.edges if end == name]
            i = sum(values[start] if start in values else spikes.get(start, 0.0) for start in into)
            node, own = graph.nodes[name], state.setdefault(name, {})
            by_rule = rule is not None and hasattr(node, "r")
            values[name] = rule(node, own, i) if by_rule else step(node, own, i, dt, method, near)
        spikes = {loop: step(graph.nodes[loop], {}, values[source], dt, method, near) for loop, source in loops.items()}
        ys.append(values["output"])
    return np.stack(ys), min(near)


def step(node, state, i, dt, method, near):
    kind = type(node).__name__
    if kind == "Output":
        return i
    if kind in ("Linear", "Affine"):
        return node.weight.astype(np.float64) @ i + (node.bias if kind == "Affine" else 0)
    if kind in ("Conv1d", "Conv2d"):
        return convolve(node, i)
    if kind in ("AvgPool2d", "SumPool2d"):
        view = windows(np.pad(i, [(0, 0), *((n, n) for n in node.padding)]), node.kernel_size, node.stride)
        return (np.mean if kind == "AvgPool2d" else np.sum)(view, (-2, -1))
    if kind == "Flatten":
        return i.reshape(-1)
    if kind == "Delay":
        past = state.setdefault("past", [])
        past.insert(0, i.reshape(-1))
        back = np.round(node.delay / dt).astype(int).reshape(-1)
        return np.reshape([past[n][j] if n < len(past) else 0.0 for j, n in enumerate(back)], np.shape(i))
    if kind == "Threshold":
        return fires(i, node.threshold, near)
    if kind == "CubaLIF":
        i = state["i"] = leak(state.get("i", 0.0), node.w_in * i, node.tau_syn, dt, method)
    leaky = {"LIF": "tau", "LI": "tau", "CubaLIF": "tau_mem"}.get(kind)
    if leaky:
        v = leak(state.get("v", node.v_leak), node.v_leak + node.r * i, getattr(node, leaky), dt, method)
    else:
        v = state.get("v", 0.0) + dt * node.r * i
    if kind in ("I", "LI"):
        state["v"] = v
        return v
    s = fires(v, node.v_threshold, near)
    state["v"] = np.where(s > 0, node.v_reset, v)
    return s


def leak(v, i, tau, dt, method):
    decay = 1 - dt / tau if method == "euler" else np.exp(-dt / tau)
    return decay * v + (1 - decay) * i


def fires(v, threshold, near):
    near.append(np.min(np.abs(v - threshold) / np.maximum(np.abs(threshold), 1e-3)))
    return (v > threshold).astype(float)


def windows(x, size, stride):
    """The windows that slide over all axes of x but the first: ``[channels, *places, *size]``."""
    axes = range(1, x.ndim)
    return sliding_window_view(x, size, axes)[(slice(None), *(slice(None, None, int(n)) for n in stride))]


def convolve(node, x):
    """A convolution of jax, whose order of axes is NIR's unless another is given."""
    axes, padding = x.ndim - 1, node.padding
    stride, dilation = (np.broadcast_to(n, axes).tolist() for n in (node.stride, node.dilation))
    pads = padding.upper() if isinstance(padding, str) else [(int(n), int(n)) for n in np.broadcast_to(padding, axes)]
    how = {"rhs_dilation": dilation, "feature_group_count": int(node.groups)}
    with jax.enable_x64(True):
        ys = jax.lax.conv_general_dilated(x[None], node.weight.astype(np.float64), stride, pads, **how)
    return np.asarray(ys[0]) + node.bias.reshape(-1, *[1] * axes)
