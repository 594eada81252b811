"""Plant small faults in copies of the tree, one in each, and see which test of `make test` finds it.

``python -m tools.faults`` tries all, two at a time, each until its first failure: first the test that found it before,
then the test files that are near to it, then all. It writes `tools/faults.json`: for each fault the test that found it,
or null. ``--only neurons`` tries those of files with that word in their path. A fault that has a result is not tried
again, unless with ``--again``. Each takes ten seconds, or some minutes if no test finds it.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import pytest
from tqdm import tqdm

ROOT = Path(__file__).parent.parent
RESULT = Path(__file__).with_suffix(".json")
LEFT_OUT = (".git", ".venv", ".*_cache", "__pycache__", "runs", "site", "dist")  # of a copy of the tree
OF_THE_TEXT = "tests/project/test_structure.py::test_planted_faults_are_of_the_code_as_it_stands"  # it would find each
QUICK = re.search(r"^QUICK := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]  # what `make test` selects


class Fault(NamedTuple):
    """A text that stands once in a file of the package, and what takes its place.

    Attributes:
      path: of the file, below `brainsurr`.
      before: the text.
      after: what takes its place.
      near: words in the names of the test files to try first.
    """

    path: str
    before: str
    after: str
    near: str

    def __str__(self):
        return f"{self.path}: {self.before!r} -> {self.after!r}"


FAULTS = [
    # The spike and its derivative.
    Fault("_kernel.py", "(bits <= negative_zero)", "(bits < negative_zero)", "kernel surrogate"),
    Fault("_kernel.py", "da.astype(jnp.float32) if da.dtype.itemsize < 4 else da", "da", "kernel"),
    Fault("_kernel.py", "jnp.where(jnp.isfinite(x), x, jnp.zeros_like(x))", "x", "kernel"),
    Fault("_kernel.py", "(uniform < probability)", "(uniform < probability.astype(x.dtype))", "random kernel"),
    Fault("_kernel.py", "+ float(jnp.finfo(wide).eps) / 2", "", "random kernel"),
    Fault("_kernel.py", "jnp.float32 if x.dtype.itemsize < 4 else x.dtype", "x.dtype", "random"),
    Fault("_kernel.py", "return jnp.where(jnp.isnan(x), x, (uniform", "return ((uniform", "random kernel"),
    Fault("_kernel.py", "return jax.lax.stop_gradient(s)", "return s", "gradients neuron"),
    Fault("_gradients/smooth.py", "how.has_detached_reset = True", "pass", "gradients"),
    Fault("_gradients/smooth.py", "s if how.attached else stop(s)", "stop(s)", "gradients"),
    Fault("_gradients/smooth.py", "of(layer, promoted(carry), *args)", "of(layer, carry, *args)", "gradients"),
    Fault("_replacing.py", "for f in functions if not _users[f]", "for f in functions", "replacing"),
    Fault("_replacing.py", "        _here.reset(token)\n", "", "replacing"),
    Fault("_arrays.py", "return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype", "return x.astype", "kernel"),
    Fault("_arrays.py", "(1,) * rank + parameter.shape", "parameter.shape + (1,) * rank", "kernel surrogate"),
    Fault(
        "surrogates/relu.py",
        "return _at_least_one(x), jnp.where(x <= 1,",
        "return _at_least_one(x), jnp.where(x < 1,",
        "kernel surrogate",
    ),
    # Surrogates.
    Fault("surrogates/relu.py", "jnp.where(x <= 1, x, tail)", "jnp.where(x < 1, x, tail)", "laws surrogate"),
    Fault(
        "surrogates/algebraic.py",
        "return self.alpha / 2 * _fall(self.alpha, x) ** 2",
        "return self.alpha * _fall(self.alpha, x) ** 2",
        "laws",
    ),
    Fault("surrogates/algebraic.py", "jnp.pi / 2 * q) / jnp.pi", "jnp.pi / 2 * q) / 3.1416", "laws"),
    Fault(
        "surrogates/exponential.py",
        "jnp.exp(-self.alpha * jnp.abs(x)) / 2)",
        "jnp.exp(-self.alpha * jnp.abs(x)) / 3)",
        "laws",
    ),
    Fault(
        "surrogates/gaussian.py", "(1 + self.h) * curve(x, self.sigma)", "(1 - self.h) * curve(x, self.sigma)", "laws"
    ),
    Fault("surrogates/triangle.py", "jnp.abs(x) <= self.w", "jnp.abs(x) < self.w", "laws surrogate"),
    Fault(
        "surrogates/pseudo_spike.py",
        "return odd(x, (self.alpha + 1) / 2 * growth",
        "return odd(x, (self.alpha - 1) / 2 * growth",
        "laws",
    ),
    Fault("surrogates/logarithm.py", "self.alpha * p / (p + self.alpha * q)", "self.alpha * p / (p + q)", "laws"),
    Fault("surrogates/fourier.py", "range(1, 2 * self.n, 2)", "range(1, 2 * self.n + 1, 1)", "laws"),
    Fault(
        "_surrogate.py",
        "self.height * self.width * self.surrogate.surrogate_fun",
        "self.height * self.surrogate.surrogate_fun",
        "laws surrogate",
    ),
    Fault("_surrogate.py", '"width": (0.01, 100.0)', '"width": (0.0, 100.0)', "training surrogate"),
    Fault("_surrogate.py", "np.allclose(np.multiply(height, width), 1)", "np.allclose(height, 1)", "random surrogate"),
    # Values.
    Fault("_value.py", 'object.__setattr__(self, "_hashed", True)', "pass", "surrogate"),
    Fault(
        "_value.py",
        "if type(self) is not type(other):\n            return NotImplemented",
        "if not isinstance(other, Value):\n            return NotImplemented",
        "surrogate",
    ),
    Fault("_value.py", "np.asarray(value) > low", "np.asarray(value) >= low", "surrogate"),
    Fault(
        "_pytree.py",
        "return str(leaf.dtype), leaf.shape, leaf.tobytes()",
        "return leaf.shape, leaf.tobytes()",
        "surrogate serialization",
    ),
    Fault("_pytree.py", "value.flags.writeable = False", "pass", "surrogate"),
    Fault(
        "_pytree.py",
        "return tuple(map(tuples, value)) if type(value) in (list, tuple) else value",
        "return value",
        "serialization",
    ),
    # Neurons.
    Fault(
        "neurons/li.py",
        "(1 - self.decay) * x if self.decay_input",
        "self.decay * x if self.decay_input",
        "neurons parity",
    ),
    Fault(
        "neurons/lif.py",
        'self.reset != "zero" if self.reset_grad is None',
        "True if self.reset_grad is None",
        "neuron parity",
    ),
    Fault("neurons/lif.py", "return u - fired_at * s", "return u - self.threshold * s", "neuron parity"),
    Fault("neurons/lif.py", "h = v - threshold", "h = u - threshold", "neurons parity"),
    Fault("neurons/lif.py", "u = jnp.where(left > 0, v, u)", "pass", "neuron parity"),
    Fault("neurons/lif.py", "h = jnp.where(left > 0, -jnp.inf, h)", "pass", "neurons"),
    Fault("neurons/lif.py", "s > 0.5", "v >= threshold", "neuron parity"),
    Fault("_checks.py", "count > 2 / float", "count > 9 / float", "neuron"),
    Fault("neurons/synaptic.py", "i = self.current_decay * i + x", "i = self.current_decay * (i + x)", "neurons ports"),
    Fault("neurons/resonate.py", "self.frequency * u + kept * v", "self.frequency * u + v", "neurons"),
    Fault("neurons/resonate.py", "self.damping + self.spike_damping * q", "self.damping", "neurons"),
    Fault("neurons/resonate.py", "u - self.threshold - q", "u - self.threshold", "neurons"),
    Fault("neurons/resonate.py", "self.frequency**2 + 2 * damping", "2 * damping", "neurons"),
    Fault("neurons/alif.py", "(1 - rho) * (self.spike_adaptation", "(self.spike_adaptation", "neuron parity"),
    Fault(
        "neurons/alif.py",
        "self.threshold + before if self.reset_adapted",
        "self.threshold + a if self.reset_adapted",
        "neuron parity",
    ),
    Fault("neurons/alif.py", "if self.reset_adapted else self.threshold", "if True else 0", "neuron parity"),
    Fault("neurons/alif.py", "(c == 0) & jnp.isinf(v)", "c != c", "neuron"),
    Fault(
        "neurons/recurrent.py",
        "product(s.astype(x.dtype), self.weights.astype(x.dtype))",
        "product(self.weights.astype(x.dtype), s.astype(x.dtype).T).T",
        "parity neurons",
    ),
    Fault(
        "neurons/recurrent.py", "return kernel if self.self_connections else", "return kernel if True else", "neuron"
    ),
    Fault(
        "neurons/delay.py", "start = self.longest - np.asarray(self.steps)", "start = np.asarray(self.steps)", "neuron"
    ),
    Fault("neurons/learnable_delay.py", "jnp.arange(self.longest, -1, -1,", "jnp.arange(self.longest + 1,", "neurons"),
    Fault("neurons/ilif.py", "u / self.threshold - 0.5", "u / self.threshold", "neurons"),
    Fault("neurons/psn.py", "weights[i] * both[i :", "weights[-i - 1] * both[i :", "neurons"),
    Fault("neurons/recurrent.py", "return self.neuron._steps_held", "return None", "neurons"),
    Fault("neurons/delay.py", "if not np.can_cast(xs.dtype, past.dtype):", "if False:", "neuron"),
    Fault("neurons/_neuron.py", "y.astype(x.dtype)", "y", "neuron layers"),
    Fault("neurons/_neuron.py", "new[i] = b.astype(a.dtype)", "new[i] = b", "neurons neuron"),
    Fault("neurons/_neuron.py", "not np.all(np.isfinite(value))", "np.any(np.isnan(value))", "layers neuron"),
    Fault("neurons/_spikes.py", "jax.random.fold_in(key, i)", "key", "random neurons"),
    Fault(
        "neurons/_spikes.py",
        "return [jax.random.split(leaves[i].key, steps) for i in places]",
        "return [jax.numpy.stack([leaves[i].key] * steps) for i in places]",
        "random",
    ),
    # Layers.
    Fault(
        "_bounds.py",
        "jnp.clip(constant, *interval) + (value - constant)",
        "jnp.clip(value, *interval)",
        "bounds training",
    ),
    Fault(
        "_bounds.py",
        "np.where(np.isinf(x), x, np.clip(x, -largest, largest)).astype(dtype)",
        "x.astype(dtype)",
        "bounds",
    ),
    Fault("_bounds.py", "fits = low < high", "fits = low <= high", "bounds training"),
    Fault("_bounds.py", "(number >= low) & (number <= high)", "(number > low) & (number <= high)", "bounds layers"),
    Fault("_held.py", "own = {str(path): pair for", "own = {str(path): None for", "training own"),
    Fault(
        "_held.py",
        "return fed_back(neuron, kernel, self.self_connections) if self.recurrent else neuron",
        "return neuron",
        "layers neurons",
    ),
    Fault("_held.py", "fed_back(neuron, kernel, self.self_connections)", "fed_back(neuron, kernel)", "neuron"),
    Fault("_held.py", "self._neuron(HoldsSurrogate._spikes)", "self.neuron", "random"),
    Fault("_held.py", "self._value(name) if isinstance(held, self._holders) else held", "held", "nnx layers"),
    Fault("nnx/_layer.py", "kernel.set_value(weights.astype(self.param_dtype))", "kernel.set_value(weights)", "layers"),
    Fault(
        "nnx/_network.py",
        "written.update({path for path, values in after.items() if not _same(values, before[path])})",
        "written.update(after)",
        "unroll_hosts nnx",
    ),
    Fault(
        "linen/_activation.py",
        "now[name] = clip_straight_through(stored, interval)",
        "now[name] = stored",
        "training linen",
    ),
    Fault("linen/_network.py", "jax.random.fold_in(rng, i)", "rng", "layers"),
    Fault(
        "linen/_network.py",
        'variable_carry=DenyList(("params", "intermediates"))',
        "variable_carry=False",
        "unroll_hosts linen",
    ),
    Fault(
        "brainstate/_layer.py",
        "self._set_state(neuron, self._first(batch_size))",
        "pass",
        "brainstate",
    ),
    Fault(
        "brainstate/_layer.py",
        "state, ys = run(neuron, self._state(neuron), xs, brainstate.transform.scan)",
        "state, ys = run(neuron, self._state(neuron), xs)",
        "brainstate layers",
    ),
    Fault(
        "brainstate/_activation.py",
        "return brainstate.random.split_key() if",
        "return brainstate.random.DEFAULT.value if",
        "random",
    ),
    Fault("brainstate/_activation.py", "param.val.value = value", "pass", "brainstate layers"),
    # Time.
    Fault(
        "_time/unroll.py", "low, high = math.sqrt(steps) / 2, 2 * math.sqrt(steps)", "low, high = 1, steps", "unroll"
    ),
    Fault("_time/unroll.py", "x[blocks * size :]", "x[(blocks - 1) * size :]", "unroll"),
    Fault(
        "_time/unroll.py",
        'policy = _products_saveable if remat == "dots" else None',
        "policy = None",
        "unroll",
    ),
    Fault(
        "_time/reductions.py",
        "/ steps).astype(_float_dtype(dtype))",
        "/ (steps - (steps % 7 == 3))).astype(_float_dtype(dtype))",
        "unroll",
    ),
    Fault("_time/reductions.py", "y.astype(jnp.float32) if y.dtype.itemsize < 4 else y", "y", "unroll"),
    Fault("_time/guard.py", "min(n // 2 + 1, n - 1)", "n // 2", "guard"),
    Fault("_time/guard.py", "rate in (0.9, 0.1)", "rate in (0.9, 0.9)", "guard"),
    Fault("_time/guard.py", "(batched and batch > 1)", "(batch == 0)", "guard"),
    Fault("_time/guard.py", "few = min(batch,", "few = min(2,", "guard"),
    Fault("_time/guard.py", "& _differ(right, y).any(others)", "& False", "guard"),
    Fault("neurons/window.py", "return self.length - 1", "return self.length", "neurons"),
    Fault("_diagnosis/mask.py", "mask.shape[:1] != lengths[0]", "not mask.ndim", "diagnose"),
    Fault("_diagnosis/probe.py", "jnp.where(mask, values.astype(wide), 0.0)", "values.astype(wide)", "diagnose"),
    Fault("_gradients/__init__.py", "[] if back is None else", "[] if True else", "gradients"),
    Fault("_gradients/report.py", " and not self.steps", "", "gradients"),
    Fault("_flow/derivatives.py", "ancestors=fact.ancestors & ~outside", "ancestors=fact.ancestors", "steps"),
    Fault("_flow/derivatives.py", "lost.ancestors & kept.number or ", "", "steps"),
    Fault("_flow/derivatives.py", " or lost.near & kept.near", "", "steps"),
    Fault("_flow/derivatives.py", "if fact.is_weight == is_weight]", "]", "steps"),
    Fault("_flow/derivatives.py", "union(new.beside if name in _SUMS else ())", "union(())", "steps"),
    Fault("_flow/derivatives.py", "added=new.added | index.lost", "added=new.added", "steps"),
    Fault("_flow/reading.py", "if all(map(reader.same, carry, joined)):", "if True:", "steps mixing"),
    Fault("_flow/factors.py", "if kinds.count(axis) > 1", "if kinds.count(axis) > 9", "mixing"),
    Fault("_flow/factors.py", "            unknown.add(TIME)\n", "            pass\n", "mixing"),
    Fault("_flow/rules.py", "(part < its and kind in (TIME, BATCH))", "False", "mixing"),
    Fault("_flow/rules.py", "    mixed = followed(fact.dims[i] for i in axes)\n", "    mixed = set()\n", "mixing"),
    Fault("_flow/rules.py", "return window == stride == 1 and not any(padding)", "return True", "mixing"),
    Fault("_flow/axes.py", "unknown=followed(fact.dims[:1])", "unknown=()", "mixing"),
    Fault("_flow/axes.py", "if axis in fact.unknown or not stays:", "if axis in fact.unknown:", "mixing"),
    Fault("_held.py", "changed._check_features(owner, self._size[-1])", "pass", "arguments"),
    Fault("_held.py", "if shape and shape[-len(size) :] != size:", "if False:", "layers"),
    Fault(
        "equinox/_layer.py",
        "clip_straight_through(value, intervals",
        "(lambda value, _: value)(value, intervals",
        "equinox",
    ),
    Fault("equinox/_layer.py", "_array = staticmethod(fixed)", "_array = staticmethod(jnp.asarray)", "equinox"),
    Fault("_held.py", "changed._check_dtype(owner, self.param_dtype, jax.core.Tracer)", "pass", "arguments"),
    Fault("neurons/_neuron.py", "f._check_dtype(jax.tree.leaves(state)[0].dtype)", "pass", "surrogate"),
    Fault("_gradients/program.py", 'and name != "cond_jaxpr"', "", "gradients"),
    Fault(
        "_time/sequential.py",
        "product(as_float(xs,",
        "product(jnp.asarray(xs, jnp.float32) if 1 else as_float(xs,",
        "sequential",
    ),
    Fault("_time/sequential.py", "fires = isinstance(layer, Surrogate) or getattr", "fires = getattr", "unroll_hosts"),
    Fault("_time/sequential.py", "jax.device_count() == 1 and", "", "sequential scale"),
    Fault(
        "_time/sequential.py", "return not any(tuple(jax.typeof(xs).sharding.spec)[:-1])", "return True", "sequential"
    ),
    Fault("cpu.py", "if shape[axis] > fewer:", "if shape[axis] > fewer + 4:", "cpu"),
    Fault("cpu.py", "for number in (devices + 1, devices):", "for number in (devices,):", "cpu"),
    Fault("_scan.py", "if block or size < _LARGE:", "if True:", "sequential"),
    Fault("_scan.py", "min(_FEW, size / _LARGE)", "0", "sequential"),
    Fault("_scan.py", "// max(1, block)", "", "platforms"),
    Fault("_scan.py", "if block < 0:", "if block < 1:", "platforms"),
    Fault("_scan.py", "if length <= 2 * most:", "if length <= most:", "platforms"),
    Fault("_scan.py", "for _ in jax.tree.leaves(carry):", "for _ in [0]:", "unroll"),
    # Reports.
    Fault("_diagnosis/probe.py", '"reached": dx != 0', '"reached": ds != 0', "diagnose"),
    Fault("_diagnosis/probe.py", '"grad_norm": jnp.square(dx', '"grad_norm": jnp.square(ds', "diagnose"),
    Fault("_diagnosis/report.py", "if layer.silent >= NEARLY_ALL:", "if layer.silent > NEARLY_ALL:", "diagnose"),
    Fault(
        "_diagnosis/report.py",
        'return "cut off" if layer.passing else "blocked"',
        'return "blocked" if layer.passing else "cut off"',
        "diagnose",
    ),
    Fault("_diagnosis/__init__.py", 'total["rms"] / finite', 'total["rms"] / count', "diagnose"),
    Fault("_diagnosis/__init__.py", "                inside = True\n", "", "diagnose"),
    Fault(
        "_gradients/__init__.py",
        "(8 * (right - left) - (far_right - far_left)) / (12 * _WIDTHS)",
        "(right - left) / (2 * _WIDTHS)",
        "gradients",
    ),
    Fault("_gradients/report.py", "_RELATIVE = 1e-6", "_RELATIVE = 1e-2", "gradients"),
    Fault(
        "_gradients/report.py",
        "difference = max(abs(slope - measured.slope) for slope in slopes)",
        "difference = min(abs(slope - measured.slope) for slope in slopes)",
        "gradients",
    ),
    Fault("_gradients/program.py", ".nmant == 52 > bits", ".nmant == 23 > bits", "gradients"),
    Fault(
        "_gradients/program.py",
        "is_used = partial_eval.dce_jaxpr(program.jaxpr, [True])",
        "is_used = partial_eval.dce_jaxpr(program.jaxpr, [False])",
        "gradients",
    ),
    Fault("_gradients/report.py", '<= {"fine", "unused"}', '<= {"fine", "unused", "no slope", "step"}', "gradients"),
    Fault("_diagnosis/__init__.py", "if not inside and not surrogate.origin", "if inside", "diagnose"),
    Fault("_diagnosis/__init__.py", "str(use) if measured.count(use.name) > 1 else use.name", "use.name", "diagnose"),
    Fault("_surrogate.py", "1 / float(info.max)", "0.0", "surrogate"),
    Fault("_checks.py", "(g[0] < 0.5) & ", "", "random"),
    Fault("neurons/_neuron.py", "2.5 * float(jnp.finfo(dtype).eps)", "float(jnp.finfo(dtype).eps) / 4", "neuron"),
    Fault("nnx/_layer.py", "return self._running(inputs).step(", "return self.neuron.step(", "random neuron"),
    # Conversions.
    Fault("_nir/nodes.py", "1.0, r / same)", "1.0, same / r)", "nir"),
    Fault("_nir/chain.py", "(size <= float(info.max))", "np.isfinite(size)", "nir"),
    Fault("_nir/chain.py", "!= 1] == [n for n in ours", "!= 1] or [n for n in ours", "nir"),
    Fault("_nir/nodes.py", "nir.Linear(weight=weight.copy())", "nir.Linear(weight=weight.T.copy())", "nir"),
    Fault("_nir/nodes.py", "threshold - rest, gain", "threshold, gain", "nir"),
    Fault("_nir/nodes.py", "node.input_type = {", "node.inputs = {", "nir"),
    Fault("_nir/readers.py", "for name in _chain(to):", "for name in to.nodes:", "nir"),
    Fault("_nir/readers.py", '_divide(before, "bias", each)', "pass", "nir"),
    Fault("_nir/readers.py", "node.tau_mem / how.dt - 1", "node.tau_mem / how.dt", "nir"),
    Fault("_nir/readers.py", "node.r / gain, node.v_threshold / gain", "node.r / gain, node.v_threshold", "nir"),
    Fault("_nir/chain.py", "value[np.argsort(self.order)]", "value[self.order]", "nir"),
    Fault("interop.py", "jnp.flip(new, range(new.ndim - 2)).swapaxes(-1, -2)", "new.swapaxes(-1, -2)", "interop"),
    Fault("optim.py", "jnp.where(new < low, jnp.nextafter", "jnp.where(new <= low, jnp.nextafter", "bounds"),
    Fault("optim.py", "value = as_float(schedule(count)", "value = as_float(schedule(state.count)", "bounds"),
    Fault("_wrong_calls.py", "difflib.get_close_matches(name, names, 1)", "[]", "arguments"),
    Fault(
        "neurons/_neuron.py",
        'f"{owner}: expected a carry like',
        'f"expected a carry like',
        "arguments layers",
    ),
    Fault("plot.py", "xlim: tuple[float, float] = (-3.0, 3.0)", "xlim: tuple[float, float] = (-2.0, 3.0)", "plot"),
]


def plant(fault: Fault, tree: Path):
    """Write the fault into a copy of the tree."""
    path = tree / "brainsurr" / fault.path
    text = path.read_text()
    if text.count(fault.before) != 1:
        raise ValueError(f"expected the text once, got {text.count(fault.before)} times: {fault}")
    path.write_text(text.replace(fault.before, fault.after))


def found_by(fault: Fault, before: str | None = None) -> str | None:
    """Return the first test that fails with the fault, None if none does; ``before`` is the one that did before."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*LEFT_OUT))
        plant(fault, tree)
        names = "|".join(fault.near.split())
        files = [path for path in sorted((tree / "tests").rglob("test_*.py")) if path.parent.name != "peers"]
        near = [str(path) for path in files if re.search(names, path.stem)]
        for tests in ([before] if before else [], near, ["tests", "brainsurr"]):
            if not tests:
                continue
            command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", "-m", QUICK]
            command += ["--deselect", OF_THE_TEXT]
            variables = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(ROOT / ".pytest_cache" / "jax")}
            done = subprocess.run([*command, *tests], cwd=tree, env=variables, capture_output=True, text=True)
            failed = re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
            if failed:
                return failed[0]
            gone = tests == [before] and done.returncode == pytest.ExitCode.USAGE_ERROR
            if not gone and done.returncode not in (0, pytest.ExitCode.NO_TESTS_COLLECTED):
                raise RuntimeError(f"pytest ended with exit status {done.returncode}: {done.stdout}")
    return None


def main(argv=None):
    """Try the faults, and write what found each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="a word in the path of the file")
    parser.add_argument("--again", action="store_true", help="try all anew, in place of those that have no result")
    args = parser.parse_args(argv)
    results = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    results = {str(fault): results[str(fault)] for fault in FAULTS if str(fault) in results}
    chosen = [fault for fault in FAULTS if args.only in fault.path and (args.again or str(fault) not in results)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting = {pool.submit(found_by, fault, results.get(str(fault))): fault for fault in chosen}
        for done in tqdm(as_completed(waiting), total=len(waiting), desc="faults", unit="fault"):
            results[str(waiting[done])] = done.result()
            RESULT.write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n")
    survivors = [fault for fault, test in results.items() if test is None]
    files = Counter(test.partition("::")[0] for test in results.values() if test)
    print(f"{len(results)} faults, {len(survivors)} not found by any test", *survivors, sep="\n  ")
    print("found by", ", ".join(f"{name} {count}" for name, count in files.most_common()))


if __name__ == "__main__":
    main()
