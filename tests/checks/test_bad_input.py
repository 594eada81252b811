"""Every public name answers a bad argument with an error that explains itself.

The error comes from brainsurr, not from jax or a framework; it names the argument and says what was expected. The
values are in `bad_values.py`. A new public name needs no entry: its arguments are known by their names, or by the types
of their defaults. If one is not, a test says what to write.
"""

import importlib
import inspect
import pkgutil
import re
import traceback
import warnings
from pathlib import Path

import brainstate
import hypothesis
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from bad_values import KEY, KINDS, OF_THE_HOST, START, XS, Changed, Fresh, Traced
from close import assert_close
from hypothesis import strategies as st
from surrogate_table import FAMILY

import brainsurr as bs

PACKAGE = str(Path(bs.__file__).parent)
# Users do not call these: what `diagnose` and `check_gradients` return, and the base class of neurons.
NOT_CALLED = ("Diagnosis", "GradientReport", "LayerReport", "ParameterGradient", "neurons.Neuron")
# By which words a message says what was expected, and what it may call an argument besides its name.
EXPECTS = re.compile(
    r"expected|outside \[|does not broadcast|not a parameter of|not learnable|in the (source|target)|undefined"
    r"|There are: |have the same names|must use what it is called with|must have equal types"
)
BY_JAX = "TypeError: scan body function carry input and carry output must have equal types"  # and it names the leaf
ALIASES = {
    "xs": "x inputs? input_shape",
    "input_shape": "carry",
    "batch_size": "carry",
    "layers": "xs carry input_shape",
    "surrogate_init": "surrogate",
    "kind": "class",
    "net": "layer",
    "variables": "parameters",
    "params": "parameters",
    "spike_fns": "functions",
    "library": "surrogates",
    "name": "surrogate",
    "slope": "alpha",
    "graph": "node file Input",
}


# Names whose signature does not tell how to call them ------------------------------------------------------------


def changed(alpha=0.25, origin=False, continuous=False):
    """A surrogate that is given its parameters afterwards."""
    f = bs.LogTailedRelu()
    f.alpha, f.origin, f.continuous = alpha, origin, continuous
    assert bs.LogTailedRelu().replace(alpha=alpha, origin=origin, continuous=continuous) == f
    return f


def curves(surrogates, xlim, axes, alpha):
    return bs.plot.surrogate(*surrogates, xlim=xlim, axes=axes, alpha=alpha)


CALLS = {
    "brainsurr.Surrogate": changed,
    "brainsurr.equivalent": lambda library, name, slope: bs.equivalent(library, name, slope=slope),
    "brainsurr.linen.bounds": lambda module: bs.linen.bounds(module, START, XS),
    "brainsurr.plot.surrogate": curves,
}


# What is done with an answer, and takes further arguments --------------------------------------------------------


def use_surrogate(f, x):
    return f(x), f.derivative(x), f.surrogate_grad(x), f.surrogate_fun(x)


def use_neuron(neuron, carry, xs):
    return neuron(right(carry, neuron.initial_state(XS[0])), xs)


def use_nnx(layer, input_shape, carry, xs):
    return layer(right(carry, layer.initialize_carry(input_shape)), xs)


def use_linen(layer, input_shape, carry, xs):
    return layer.init_with_output(KEY, right(carry, layer.initialize_carry(KEY, input_shape)), xs)[0]


def use_brainstate(layer, batch_size, xs):
    layer.init_state(batch_size)
    return layer(xs)


def use_linen_activation(act, x):
    return act.init_with_output({"params": KEY, "spikes": KEY}, x)[0]


def use_brainstate_activation(act, x):
    with brainstate.environ.context(fit=True), brainstate.random.seed_context(0):
        return act(x)


def use_rule(rule, update):
    """Update parameters with what is for optax."""
    params = {"alpha": jnp.float32(0.5)}
    return rule.update({"alpha": update}, rule.init(params), params)


def use_axes(axes):
    """Draw the figure."""
    (axes[-1] if isinstance(axes, tuple) else axes).figure.canvas.draw()


USES = {
    "Surrogate": use_surrogate,
    "Neuron": use_neuron,
    "nnx Module": use_nnx,
    "linen Module": use_linen,
    "brainstate Module": use_brainstate,
    "nnx Module SpikingActivation": lambda act, x: act(x),
    "linen Module SpikingActivation": use_linen_activation,
    "brainstate Module SpikingActivation": use_brainstate_activation,
    "optim": use_rule,
    "plot": use_axes,
}


def right(carry, start):
    """What is given for a carry, of which the right one is known."""
    return carry.of(start) if isinstance(carry, Changed) else carry


# A trial ----------------------------------------------------------------------------------------------------------


def public_names():
    """What is in the `__all__` of a public module, by its path."""
    modules = [importlib.import_module(f"brainsurr.{module.name}") for module in pkgutil.iter_modules(bs.__path__)]
    modules = [bs, *(module for module in modules if hasattr(module, "__all__") and module is not bs.surrogates)]
    names = {f"{module.__name__}.{name}": getattr(module, name) for module in modules for name in module.__all__}
    return {path: value for path, value in names.items() if path.removeprefix("brainsurr.") not in NOT_CALLED}


def parameters(function):
    """The parameters of a function or a class, by name."""
    found = inspect.signature(function).parameters
    if inspect.isclass(function) and "kwargs" in found:  # these are of its metaclass
        return dict(list(inspect.signature(function.__init__).parameters.items())[1:])
    return dict(found)


def most_words(table, words):
    """The entry whose key has most of these words and no other; None if there is none."""
    keys = [key for key in table if set(key.split()) <= words]
    return table[max(keys, key=lambda key: len(key.split()))] if keys else None


class Trial:
    """A public name, the kinds of its arguments, and what is done with its answer.

    Args:
      path: of the name.
      public: what it names.
      **options: good values of arguments that decide what others may be.
    """

    def __init__(self, path, public, **options):
        bases = inspect.getmro(public) if inspect.isclass(public) else ()
        words = {*path.split("."), *options, *(base.__name__ for base in bases)}
        self.call, self.use = CALLS.get(path, public), most_words(USES, words)
        own = parameters(self.call)
        further = dict(list(parameters(self.use).items())[1:]) if self.use else {}
        kinds = {name: kind_of(path, words, parameter) for name, parameter in (own | further).items()}
        self.kinds = {name: kind for name, kind in kinds.items() if kind is not OF_THE_HOST}
        self.kinds |= {name: self.kinds[name]._replace(good=(value,)) for name, value in options.items()}
        self.own = own.keys() & self.kinds.keys()

    def answer(self, given):
        """What comes of it, with good values for all other arguments."""
        given = {name: kind.good[0] for name, kind in self.kinds.items()} | given
        given = {name: value.make() if isinstance(value, Fresh) else value for name, value in given.items()}
        traced = {name: value.like for name, value in given.items() if isinstance(value, Traced)}

        def call(traced):
            values = given | traced
            answer = self.call(**{name: right(values.pop(name), START) for name in self.own})
            return self.use(answer, **values) if self.use else answer

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return jax.eval_shape(call, traced) if traced else call({})

    def verdict(self, **given):
        """ "accepted" or "refused", or else what is wrong with the error."""
        try:
            self.answer(given)
        except Exception as error:
            return why_unclear(error, given) or "refused"
        finally:
            plt.close("all")
        return "accepted"


def kind_of(path, words, parameter):
    """The kind of an argument: by its name, or by the type of its default."""
    default = parameter.default
    for last in (parameter.name, type(default).__name__):
        kind = most_words({key: kind for key, kind in KINDS.items() if key.split()[-1] == last}, words | {last})
        if kind is OF_THE_HOST:
            return kind
        if kind is not None:
            good = kind.good or (default,)
            optional = any(value is None for value in (default, *good))
            return kind._replace(good=good, bad=[value for value in kind.bad if value is not None or not optional])
    raise LookupError(f"{path} has an argument {parameter.name}: say what it may be in KINDS of tests/bad_values.py")


def why_unclear(error, names):
    """Why the error for some arguments does not explain itself; None if it does."""
    said, where = f"{type(error).__name__}: {error}", traceback.extract_tb(error.__traceback__)[-1]
    words = [word for name in names for word in (name, *ALIASES.get(name, "").split())]
    if not where.filename.startswith(PACKAGE) and not said.startswith(BY_JAX):
        return f"raised in {where.filename}, {where.name}: {said}"
    if not isinstance(error, TypeError | ValueError | NotImplementedError):
        return f"neither a TypeError, a ValueError nor a NotImplementedError: {said}"
    if not any(re.search(rf"\b{word}\b", str(error)) for word in words):
        return f"names none of {', '.join(words)}: {said}"
    return None if EXPECTS.search(str(error)) else f"does not say what was expected: {said}"


# The tests --------------------------------------------------------------------------------------------------------


def cases():
    """All names, slow those that have the checks of another surrogate, framework or neuron."""
    alike = {make.__name__ for entry in FAMILY[1:] for make in (entry.make, entry.function) if make}
    alike |= {"ALIF", "LIFCell", "ALIFCell"}
    for path, public in public_names().items():
        module, _, name = path.rpartition(".")
        slow = name in alike or module.endswith((".linen", ".brainstate", ".plot"))
        for options in ({}, {"recurrent": True}, {"random": True}):
            if options.keys() <= parameters(public).keys():
                marks = pytest.mark.slow if slow else ()
                yield pytest.param(path, public, options, id=" ".join([path, *options]), marks=marks)


every_name = pytest.mark.parametrize(("path", "public", "options"), list(cases()))


@pytest.fixture(autouse=True, scope="module")
def every_frame():
    """In an error's traceback, those in jax too, which it hides."""
    before = jax.config.jax_traceback_filtering
    jax.config.update("jax_traceback_filtering", "off")
    yield
    jax.config.update("jax_traceback_filtering", before)


@every_name
def test_a_bad_value_is_refused_by_name(path, public, options):
    trial = Trial(path, public, **options)
    wrong = []
    for name, kind in trial.kinds.items():
        for values, verdicts in zip(kind, ("accepted", "refused", "accepted refused"), strict=True):
            found = [(f"{name}={value!r}", trial.verdict(**{name: value})) for value in values]
            wrong += [(value, verdict) for value, verdict in found if verdict not in verdicts.split()]
    assert not wrong


@every_name
@hypothesis.settings(max_examples=10, derandomize=True, database=None, deadline=None)
@hypothesis.given(data=st.data())
def test_two_bad_values_are_refused_by_name(path, public, options, data):
    trial = Trial(path, public, **options)
    names = [name for name, kind in trial.kinds.items() if kind.bad]
    chosen = data.draw(st.lists(st.sampled_from(names), min_size=min(2, len(names)), max_size=2, unique=True))
    assert trial.verdict(**{name: data.draw(st.sampled_from(trial.kinds[name].bad)) for name in chosen}) == "refused"


@every_name
def test_odd_numbers_are_read_as_float32(path, public, options):
    """And NaN comes out exactly where it goes in. A delay, and `detached`, keep the dtype of what they are given."""
    trial = Trial(path, public, **options)
    for name in {"x", "xs"} & trial.kinds.keys() - ({"xs"} if path.endswith("Delay") else set()):
        for x in trial.kinds[name].odd:
            if x.dtype.itemsize != 2:
                answer, expected = (jax.tree.leaves(trial.answer({name: value})) for value in (x, x.astype("f4")))
                for y, same in zip(answer, expected, strict=True):
                    np.testing.assert_array_equal(y, same)
                    assert y.dtype == same.dtype == np.float32
                    assert y.shape != x.shape or np.array_equal(np.isnan(y), np.isnan(x))


PARAMETERS = [(e, name) for e in FAMILY for name in e.settings[0] if name not in e.static and e.function]


@pytest.mark.parametrize(("entry", "name"), PARAMETERS, ids=lambda p: getattr(getattr(p, "make", p), "__name__", p))
def test_an_odd_parameter_is_refused_or_obeys_the_formula(entry, name):
    x = np.array([-2.0, -0.75, -0.25, 0.25, 0.75, 2.0], np.float32)
    above = entry.make(**entry.settings[0])._lower_limits.get(name, -np.inf)
    # A negative steepness: the table has |alpha x| for it, the class alpha |x|. They are the same from 0 on.
    least = 0 if entry.make is bs.SoftSign else -np.inf
    for value in (-1.75, -0.625, 0.0, 0.375, 1e3):
        setting = entry.settings[0] | {name: value}
        if value <= above:
            with pytest.raises(ValueError, match=f"expected {name} to be above"):
                entry.make(**setting)
        elif value >= least:
            with np.errstate(all="ignore"):
                expected = np.broadcast_to(entry.dg(x.astype(np.float64), **setting), x.shape)
            slope = np.asarray(entry.make(**setting).surrogate_grad(x))
            assert_close(slope, expected, 32)
