"""What a graph of NIR means, in float64, from the equations of its documentation; apart from the package.

A step of ``tau dv/dt = v_leak - v + r I`` is Euler's, or the exact one for an input that stays for a step;
``dv/dt = r I`` adds ``dt r I``; a spike of ``v > v_threshold`` sets v to v_reset. A potential starts at v_leak, of
which NIR says nothing. Time first, channels first, no batch.
"""

import numpy as np


def simulate(graph, xs, dt, method="euler"):
    """Outputs over time, and how far the potentials of neurons came to their threshold, relative to it."""
    state, near, spikes, ys = {}, [np.inf], {}, []
    order = in_order(graph)
    for x in np.asarray(xs, np.float64):
        values = {}
        for name in order:
            node = graph.nodes[name]
            into = [start for start, end in graph.edges if end == name]
            if not into:
                values[name] = x
                continue
            # Of a cycle, what went round in the step before.
            i = sum(values[start] if start in values else spikes.get(start, 0.0) for start in into)
            values[name] = step(node, state.setdefault(name, {}), i, dt, method, near)
        spikes = {}
        for loop in loops(graph):
            (source,) = [start for start, end in graph.edges if end == loop]
            spikes[loop] = step(graph.nodes[loop], {}, values[source], dt, method, near)
        ys.append(values["output"])
    return np.stack(ys), min(near)


def loops(graph):
    """The nodes that are fed by what they feed."""
    return [
        a for a, b in graph.edges if (b, a) in graph.edges and type(graph.nodes[a]).__name__ in ("Linear", "Affine")
    ]


def in_order(graph):
    """The nodes from the input to the output, without those that go round."""
    name, names = "input", ["input"]
    while name != "output":
        (name,) = [end for start, end in graph.edges if start == name and end not in loops(graph)]
        names.append(name)
    return names


def step(node, state, i, dt, method, near):
    kind = type(node).__name__
    if kind == "Output":
        return i
    if kind in ("Linear", "Affine"):
        return node.weight.astype(np.float64) @ i + (node.bias if kind == "Affine" else 0)
    if kind in ("Conv1d", "Conv2d"):
        return convolve(node, i)
    if kind in ("AvgPool2d", "SumPool2d"):
        return pool(node, i, kind == "AvgPool2d")
    if kind == "Flatten":
        return i.reshape(-1)
    if kind == "Delay":
        state.setdefault("past", []).append(i)
        back = np.round(node.delay / dt).astype(int)
        past = state["past"]
        flat = [past[-1 - n].reshape(-1)[j] if n < len(past) else 0.0 for j, n in enumerate(back.reshape(-1))]
        return np.reshape(flat, np.shape(i))
    if kind == "Threshold":
        return fires(i, node.threshold, near)
    if kind == "CubaLIF":
        i = state["i"] = leak(state.get("i", 0.0), node.w_in * i, node.tau_syn, dt, method)
    leaky = {"LIF": "tau", "LI": "tau", "CubaLIF": "tau_mem"}.get(kind)
    v = state.get("v", node.v_leak if leaky else 0.0)
    if leaky:
        v = leak(v, node.v_leak + node.r * i, getattr(node, leaky), dt, method)
    else:
        v = v + dt * node.r * i
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


def convolve(node, x):
    axes = x.ndim - 1
    stride, dilation = (np.broadcast_to(n, axes) for n in (node.stride, node.dilation))
    window = [d * (k - 1) + 1 for d, k in zip(dilation, node.weight.shape[2:], strict=True)]
    if isinstance(node.padding, str):
        total = [n - 1 if node.padding == "same" else 0 for n in window]
        pads = [(n // 2, n - n // 2) for n in total]
    else:
        pads = [(n, n) for n in np.broadcast_to(node.padding, axes)]
    x = np.pad(x, [(0, 0), *pads])
    size = [(n - w) // s + 1 for n, w, s in zip(x.shape[1:], window, stride, strict=True)]
    weight = node.weight.astype(np.float64)
    per_out, per_in = weight.shape[0] // node.groups, weight.shape[1]
    ys = np.zeros((weight.shape[0], *size))
    for at in np.ndindex(*size):
        cut = tuple(slice(a * s, a * s + w, d) for a, s, w, d in zip(at, stride, window, dilation, strict=True))
        for out in range(weight.shape[0]):
            first = out // per_out * per_in
            ys[(out, *at)] = np.sum(weight[out] * x[(slice(first, first + per_in), *cut)]) + node.bias[out]
    return ys


def pool(node, x, average):
    (kh, kw), (sh, sw), (ph, pw) = node.kernel_size, node.stride, node.padding
    x = np.pad(x, [(0, 0), (ph, ph), (pw, pw)])
    size = (x.shape[1] - kh) // sh + 1, (x.shape[2] - kw) // sw + 1
    ys = np.zeros((x.shape[0], *size))
    for a, b in np.ndindex(*size):
        ys[:, a, b] = x[:, a * sh : a * sh + kh, b * sw : b * sw + kw].sum((1, 2))
    return ys / (kh * kw) if average else ys
