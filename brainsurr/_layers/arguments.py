"""The arguments of the layers of neurons, defined once for the three frameworks, with their checks."""

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Concatenate, ParamSpec, Protocol, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from .._arrays import as_parameter, is_number, variable_value
from .._checks import check_features, check_flag, check_function, check_word, hint_to_surrogate
from ..surrogates.logarithm import FakeNumericalGradient
from .bounds import Interval, check_inside, names_of
from .equation import ADAPTS, RESETS

P = ParamSpec("P")
A = TypeVar("A", bound="Arguments")
Layer = TypeVar("Layer")


class Arguments(Protocol):
    """A dataclass of arguments that checks itself."""

    def _check(self, owner: str):
        """Raise an error that names the layer, ``owner``, if an argument is not what it must be."""


@dataclasses.dataclass(kw_only=True, eq=False)
class LeakyArguments:
    r"""The arguments of a leaky layer.

    .. math:: v' = \mathrm{decay} \cdot v + x

    Attributes:
      features: number of neurons, the last axis of the input.
      decay: what is left of the potential after a step, in [0, 1]: exp(-dt / tau). A number or ``[features]``.
      decay_input: whether the input is multiplied by 1 - decay, so that the potential tends to a constant input.
      learnable: the name or names of the parameters to train, such as ``"decay"``.
      bounds: closed intervals for these by name, in place of [0, 1] for ``decay``; None trains unbounded.
      carry_init: initialiser of the potential.
      param_dtype: of parameters and of the potential. The output has the dtype of the input.
    """

    PARAMETERS: ClassVar[dict[str, Interval]] = {"decay": (0.0, 1.0)}

    features: int = dataclasses.field(kw_only=False)
    decay: Any = 0.9
    decay_input: bool = False
    learnable: str | Iterable[str] = ()
    bounds: Mapping[str, Interval | None] | None = dataclasses.field(default_factory=dict)
    carry_init: Callable = jax.nn.initializers.zeros
    param_dtype: Any = jnp.float32

    def _parameters(self) -> dict[str, Any]:
        """Return what may be trained, by name."""
        return {name: getattr(self, name) for name in self.PARAMETERS}

    def _check(self, owner: str):
        check_features(owner, self.features)
        check_function(f"{owner}: carry_init", self.carry_init, "an initialiser")
        check_flag(f"{owner}: decay_input", self.decay_input)
        trained = names_of(owner, self.learnable)
        for name, value in self._parameters().items():
            self._check_parameter(f"{owner}: expected {name} to be", value)
            if name in ("decay", "adaptation_decay") and name not in trained:  # a trained one has bounds of its own
                check_inside(f"{owner}: {name}", value, self.PARAMETERS[name])
            if not isinstance(value, jax.core.Tracer) and not np.all(np.isfinite(as_parameter(value))):
                hint = ": a layer that never fires is LI" if name == "threshold" else ""
                raise ValueError(f"{owner}: expected {name} to be finite, got {value!r}{hint}")

    def _check_parameter(self, expected: str, value):
        if not is_number(value):
            is_variable = variable_value(value) is not value
            hint = ": give the array that it holds, and its name in learnable= to train it" if is_variable else ""
            raise TypeError(f"{expected} a number or an array, got {value!r}{hint}")
        value = as_parameter(value, expected)
        if jnp.shape(value) not in ((), (1,), (self.features,)):
            raise ValueError(f"{expected} one number or {self.features}, got shape {jnp.shape(value)}")


@dataclasses.dataclass(kw_only=True, eq=False)
class LIFArguments(LeakyArguments):
    r"""The arguments of a layer of LIF neurons.

    .. math::
       u = \mathrm{decay} \cdot v + x, \qquad s = \mathrm{spike\_fn}(u - \mathrm{threshold}), \qquad
       v' = u - \mathrm{threshold}\, s

    Attributes:
      learnable: ``"decay"``, ``"threshold"`` or both; parameters of the surrogate are trained by
        ``spike_fn=SpikingActivation(f, learnable=...)``.
      bounds: closed intervals for these by name, in place of [0, 1] and [0, inf]; None trains unbounded.
      param_dtype: of parameters and of the potential. The spikes have the dtype of the input.
      threshold: a number or ``[features]``. A fixed one may be below 0, as in files of NIR: then it fires at rest.
      reset: ``"subtract"`` the threshold, set to ``"zero"``, or ``"none"``.
      reset_delay: whether a spike resets the potential one step later, and the state holds it as it was before. What is
        subtracted does not decay then, and ``"zero"`` loses the input of that step.
      reset_grad: whether the gradient flows through the reset; None: yes, but not for ``"zero"``, where it explodes.
      spike_fn: a surrogate, a :class:`SpikingActivation`, random or not, or any other function or module of
        ``u - threshold``; in flax, one that has no state and draws no random numbers. The default has a gradient of 1
        up to 1/8 from the threshold, and of 1 / (8 distance) beyond, so it is 0 nowhere.
      recurrent: whether the spikes of the last step come back through trained weights.
      recurrent_kernel_init: their initialiser.
    """

    PARAMETERS: ClassVar[dict[str, Interval]] = LeakyArguments.PARAMETERS | {"threshold": (0.0, float("inf"))}

    threshold: Any = 1.0
    reset: str = "subtract"
    reset_delay: bool = False
    reset_grad: bool | None = None
    spike_fn: Callable = FakeNumericalGradient(alpha=1.0).scaled(width=0.125)
    recurrent: bool = False
    recurrent_kernel_init: Callable = jax.nn.initializers.orthogonal()

    def _check(self, owner: str):
        super()._check(owner)
        check_word(f"{owner}: reset", self.reset, RESETS)
        check_function(f"{owner}: spike_fn", self.spike_fn, "a surrogate or a function", hint_to_surrogate)
        check_flag(f"{owner}: reset_delay", self.reset_delay)
        check_flag(f"{owner}: reset_grad", self.reset_grad, optional=True)
        check_flag(f"{owner}: recurrent", self.recurrent)
        check_function(f"{owner}: recurrent_kernel_init", self.recurrent_kernel_init, "an initialiser")


@dataclasses.dataclass(kw_only=True, eq=False)
class ALIFArguments(LIFArguments):
    r"""The arguments of a layer of LIF neurons that adapt.

    The more a neuron has fired, the higher its threshold or the smaller its input: with the adaptation :math:`a`,
    :math:`\rho` the ``adaptation_decay``, :math:`b` the ``spike_adaptation`` and :math:`c` the ``voltage_adaptation``,

    .. math::
       u &= \mathrm{decay} \cdot v + x - a\,[\text{input}], \qquad
       s = \mathrm{spike\_fn}(u - \mathrm{threshold} - a\,[\text{threshold}]) \\
       v' &= u - (\mathrm{threshold} + a\,[\text{threshold}])\, s, \qquad a' = \rho\, a + (1 - \rho)(b\, s + c\, v')

    With ``reset_delay=True`` a spike adapts the neuron one step later too, so that what is subtracted is the threshold
    at which it fired.

    Attributes:
      learnable: the name or names of the parameters to train: ``"decay"``, ``"threshold"``, ``"adaptation_decay"``,
        ``"spike_adaptation"``, ``"voltage_adaptation"``; parameters of the surrogate are trained by
        ``spike_fn=SpikingActivation(f, learnable=...)``.
      bounds: closed intervals for these by name, in place of [0, 1] for the decays and [0, inf] for the others; None
        trains unbounded.
      adapts: ``"threshold"``, to which the adaptation is added, or ``"input"``, from which it is subtracted.
      adaptation_decay: what is left of the adaptation after a step, in [0, 1]. A number or ``[features]``.
      spike_adaptation: what a spike adds to the adaptation, times 1 - adaptation_decay.
      voltage_adaptation: what the potential adds to it, times the same. With ``adapts="input"`` a potential runs away
        where it is below -1 with ``decay_input=True``, and below decay - 1 without.

    References:
      Bellec, Salaj, Subramoney, Legenstein, Maass 2018, "Long short-term memory and learning-to-learn in networks of
      spiking neurons" (``decay_input=True, reset_delay=True``). Bittar, Garner 2022, "A surrogate gradient spiking
      baseline for speech command recognition" (``adapts="input", decay_input=True``). Baronig, Ferrand, Sabathiel,
      Legenstein 2024, "Advancing spatio-temporal processing in spiking neural networks through adaptation" (and
      ``reset="zero"``).
    """

    PARAMETERS: ClassVar[dict[str, Interval]] = LIFArguments.PARAMETERS | {
        "adaptation_decay": (0.0, 1.0),
        "spike_adaptation": (0.0, float("inf")),
        "voltage_adaptation": (0.0, float("inf")),
    }

    adapts: str = "threshold"
    adaptation_decay: Any = 0.98
    spike_adaptation: Any = 1.8
    voltage_adaptation: Any = 0.0

    def _check(self, owner: str):
        super()._check(owner)
        check_word(f"{owner}: adapts", self.adapts, ADAPTS)


def takes(
    arguments: Callable[P, A],
) -> Callable[[Callable[[Layer, A], None]], Callable[Concatenate[Layer, P], None]]:
    """Make ``__init__(self, arguments)`` take the fields of a dataclass of arguments one by one, and check them."""

    def decorate(init):
        def __init__(self, *args: P.args, **kwargs: P.kwargs) -> None:
            given = arguments(*args, **kwargs)
            given._check(type(self).__name__)
            init(self, given)

        own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        __init__.__signature__ = inspect.Signature([own, *_signature(arguments)])  # type: ignore[attr-defined]
        return __init__

    return decorate


def _signature(arguments) -> Iterable[inspect.Parameter]:
    """Yield the parameters of a dataclass, with ``{}`` where its signature shows ``<factory>``."""
    fields = {field.name: field for field in dataclasses.fields(arguments)}
    for parameter in inspect.signature(arguments).parameters.values():
        factory = fields[parameter.name].default_factory
        yield parameter if factory is dataclasses.MISSING else parameter.replace(default=factory())


def documented(arguments: type) -> Callable[[type[Layer]], type[Layer]]:
    """Complete a layer's docstring and signature by those of its arguments.

    In the docstring, ``{equation}`` and ``{references}`` become those of ``arguments``, or of its nearest parent that
    has them, and ``{arguments}`` what these classes say of each field.
    """

    def decorate(layer):
        if not dataclasses.is_dataclass(layer):  # a dataclass has its own signature
            layer.__signature__ = inspect.Signature(list(_signature(arguments)))
        if layer.__doc__ is None:  # `python -OO` removes docstrings
            return layer
        equation, references = "", ""
        fields: dict[str, str] = {}
        for cls in filter(dataclasses.is_dataclass, reversed(arguments.__mro__)):
            doc = inspect.cleandoc(vars(cls).get("__doc__") or "")
            text, _, attributes = doc.partition("Attributes:\n")
            attributes, _, sources = attributes.partition("References:\n")
            equation = text.partition("\n\n")[2].rstrip() or equation
            references = sources.rstrip() or references
            entries = re.split(r"\n(?=  \w)", attributes.rstrip())
            fields |= {entry.partition(":")[0].strip(): entry for entry in entries if entry}
        shown = "\n".join(fields[field.name] for field in dataclasses.fields(arguments))
        doc = inspect.cleandoc(layer.__doc__).replace("  {arguments}", shown)
        layer.__doc__ = doc.replace("{equation}", equation).replace("  {references}", references)
        return layer

    return decorate
