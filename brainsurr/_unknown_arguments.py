"""Hints for arguments that a layer does not have, such as the names that other libraries use."""

import difflib
import functools
import inspect
from typing import Any

_SURROGATE = (
    "activation act_fun method spike_fn spike_func spike_grad spk_fun surrogate surrogate_fn surrogate_function "
    "surrogate_grad_fn surrogate_init"
)

# (our argument, its names in other libraries, the hint to show by a layer that has our argument)
ELSEWHERE = (
    (
        "features",
        "size in_size out_size hidden_size hidden_shape layer_shape shape num_neurons n_neurons units out_features",
        "it is features here, the length of the last axis",
    ),
    ("decay", "alpha beta decay_constants", "it is decay here, what is left of the potential after a step"),
    (
        "decay",
        "tau tau_m tau_mem tau_membrane dt",
        "give decay=exp(-dt / tau), or 1 - 1 / tau for the tau of SpikingJelly; decay_input=True scales the input",
    ),
    ("decay", "tau_inv tau_mem_inv", "give decay=1 - dt * tau_mem_inv and decay_input=True"),
    ("decay", "tau_syn tau_syn_inv", "a synaptic current is LI before LIF, each with its own decay"),
    ("decay", "voltage_decay", "give decay=1 - voltage_decay"),
    ("decay", "R", "scale the weights before the layer"),
    (
        "adaptation_decay",
        "tau_a tau_adaptation gamma rho",
        "it is adaptation_decay here, what is left of the adaptation after a step: exp(-dt / tau_a)",
    ),
    ("spike_adaptation", "beta b", "what a spike adds is spike_adaptation here, times 1 - adaptation_decay"),
    ("voltage_adaptation", "a", "what the potential adds is voltage_adaptation here, times 1 - adaptation_decay"),
    ("steps", "delay delays max_delay delay_steps time", "it is steps here, whole time steps"),
    ("threshold", "thr thresh v_th vth V_th v_thr v_threshold spike_threshold", "it is threshold here"),
    *((name, _SURROGATE, f"it is {name} here") for name in ("spike_fn", "surrogate", "surrogate_init")),
    ("spike_fn", "alpha k sigma slope", "a parameter of the surrogate goes into it: spike_fn=LogTailedRelu(alpha=...)"),
    *(
        (name, "alpha beta k sigma slope", "give it to the surrogate: SpikingActivation(LogTailedRelu(alpha=...))")
        for name in ("surrogate", "surrogate_init")
    ),
    ("reset", "reset_mechanism", 'it is reset here, with the same words: "subtract", "zero" or "none"'),
    ("reset", "hard_reset", 'give reset="zero" for True, reset="subtract" for False'),
    ("reset", "subtraction_reset", 'give reset="subtract" for True, reset="zero" for False'),
    ("reset", "spk_reset", 'give reset="zero" for "hard", reset="subtract" for "soft"'),
    ("reset", "v_reset V_reset", 'give reset="zero" for 0, the one potential to reset to, reset="subtract" for None'),
    ("reset_grad", "detach_reset stop_reset_grad", "give reset_grad=False for True, reset_grad=True for False"),
    ("learnable", "learn_beta train_tau trainable_tau", 'give learnable="decay"'),
    ("threshold", "learn_threshold", 'give learnable="threshold"'),
    (
        "features",
        "init_hidden",
        "initialize_carry makes the state, which is passed in and returned (brainstate: init_state makes and keeps it)",
    ),
    (
        "threshold",
        "output",
        "the potential is in the state that is returned with the spikes (brainstate: in v.value); the readout is LI",
    ),
    ("features", "step_mode", "LIF and LI run over time, LIFCell takes one step"),
    (
        "decay",
        "V_rest v_rest V_leak v_leak",
        "potentials are counted from the one at rest: subtract it from the threshold and from what a spike resets to",
    ),
    ("carry_init", "V_initializer V_init v_init", "it is carry_init here"),
    (
        "threshold",
        "tau_ref t_ref refractory",
        "there is no refractory period here: docs/write-your-own-neuron.md has a neuron with one",
    ),
    ("learnable", "learn_alpha", 'a synaptic current is LI before LIF: LI(..., learnable="decay")'),
    (
        "recurrent",
        "linear_features all_to_all learn_recurrent",
        "give recurrent=True, with trained weights [features, features]",
    ),
)

# Arguments of spiking neurons, in any library; LI has none of them.
_OF_SPIKES = {
    name
    for ours, others, _ in ELSEWHERE
    if ours in ("threshold", "spike_fn", "reset", "reset_grad")
    for name in (ours, *others.split())
}


class ChecksArguments:
    """Reject unknown arguments, and calls without a carry, with a hint. Must be the first base class of a layer."""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):  # its own, or the one that flax.linen has just written
            cls.__init__ = _checked(cls.__init__)  # type: ignore[method-assign]
        if "__call__" in vars(cls):
            cls.__call__ = _given_carry(cls.__call__)  # type: ignore[method-assign]
        if "initialize_carry" in vars(cls):
            cls.initialize_carry = _given_key(cls.initialize_carry)  # type: ignore[attr-defined]


def _checked(init):
    signature = _signature(init)

    @functools.wraps(init)
    def __init__(self, *args, **kwargs):
        try:
            signature.bind(self, *args, **kwargs)
        except TypeError as error:
            answer = _answer(type(self).__name__, signature, args, kwargs)
            raise TypeError(answer or f"{type(self).__name__}: {error}") from None
        init(self, *args, **kwargs)

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    return __init__


def _given_carry(call):
    """Make ``layer(xs)`` raise an error that says where a carry comes from, if the layer takes ``(carry, xs)``."""
    _, *names = inspect.signature(call).parameters
    if names[:1] != ["carry"]:
        return call

    @functools.wraps(call)
    def __call__(self, *args, **kwargs):
        if len(args) + len(kwargs) == 1:
            owner, xs = type(self).__name__, names[1]
            first = next(iter(inspect.signature(self.initialize_carry).parameters))
            key = "key, " if first == "rng" else ""  # of linen
            shape = f"{xs}.shape[1:]" if xs == "xs" else f"{xs}.shape"
            raise TypeError(
                f"{owner}: expected a carry and {xs}, got one argument. The carry is the state before the first step: "
                f"carry = layer.initialize_carry({key}{shape}), then carry, outputs = layer(carry, {xs})"
            )
        return call(self, *args, **kwargs)

    return __call__


def _given_key(initialize_carry):
    """Make ``initialize_carry(shape)`` of linen raise an error that says that it takes a key first."""
    if list(inspect.signature(initialize_carry).parameters)[1:2] != ["rng"]:
        return initialize_carry

    @functools.wraps(initialize_carry)
    def wrapped(self, *args, **kwargs):
        if len(args) == 1 and not kwargs:
            raise TypeError(
                f"{type(self).__name__}: initialize_carry takes a key first, as in flax's own cells: "
                "initialize_carry(jax.random.key(0), input_shape)"
            )
        return initialize_carry(self, *args, **kwargs)

    return wrapped


def _signature(init) -> inspect.Signature:
    """Return the signature of a constructor, with linen's ``parent`` and ``name`` last and keyword-only."""
    signature = inspect.signature(init)
    parameters = dict(signature.parameters)
    linen = [parameters.pop(name) for name in ("parent", "name") if name in parameters]
    by_name = [parameter.replace(kind=parameter.KEYWORD_ONLY) for parameter in linen]
    return signature.replace(parameters=[*parameters.values(), *by_name])


def _answer(owner: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Return hints for arguments that do not fit a signature, or an empty string if there are none."""
    _, *names = signature.parameters
    if len(args) > 1 and names[:1] == ["layers"]:
        return f"{owner}: expected layers to be a list, {owner}([a, b])"
    by_name = [name for name in names if signature.parameters[name].kind is inspect.Parameter.KEYWORD_ONLY]
    first = len(names) - len(by_name)
    if len(args) > first and by_name:
        name = "spike_fn" if "spike_fn" in by_name and callable(args[first]) else by_name[0]
        return f"{owner}: too many positional arguments: write {name}=..."

    def here(name):
        answers = [answer for ours, others, answer in ELSEWHERE if ours in names and name in others.split()]
        if not answers and "decay" in names and "threshold" not in names and name in _OF_SPIKES:
            answers = ["it never fires, and has no threshold, surrogate or reset; LIF has"]
        near = "".join(f"did you mean {other}? " for other in difflib.get_close_matches(name, names, 1))
        return ", or ".join(answers) or f"{near}it has {', '.join(names)}"

    return "\n".join(f"{owner} has no argument {name}: {here(name)}" for name in kwargs if name not in names)
