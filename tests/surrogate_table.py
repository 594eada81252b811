"""The table of surrogates that the laws of `test_laws.py` are tried on.

A newcomer enters here and is tested; an exported class that is missing fails `test_the_table_is_complete`.
The formulas are those of the papers (docstring and References of each class), in plain float64, written for this
table and not taken from the package. `tests/values/test_laws.py` compares g with dg, and the package with both.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

import brainsurr as bs

# The surrogates that brainsurr exports, by name, as its namespace has them: what every table is compared with.
EXPORTED = {name: cls for name, cls in vars(bs).items() if isinstance(cls, type) and issubclass(cls, bs.Surrogate)}
del EXPORTED["Surrogate"], EXPORTED["Scaled"]  # the base class, and what has another inside
FUNCTIONS = {name.replace("_", ""): f for name, f in vars(bs).items() if "surrogates" in getattr(f, "__module__", "")}


@dataclasses.dataclass
class Entry:
    """One surrogate: how it is made, and what is known of it.

    Functions take all entries of a setting by name, flags such as ``continuous`` included.
    """

    make: Callable[..., bs.Surrogate]
    settings: list[dict[str, Any]]  # the first holds the defaults
    g: Callable  # primitive
    dg: Callable  # gradient
    ends: Callable | None = None  # limits of g and dg at -inf and +inf, if far from those at -1e150 and 1e150
    kinks: Callable = lambda **_: [0.0]  # where the gradient jumps or has a corner
    static: tuple[str, ...] = ()

    @property
    def function(self) -> Callable | None:
        """The function of the class: of its name, with underscores."""
        return FUNCTIONS.get(self.make.__name__.lower())

    @property
    def is_distribution(self) -> bool:
        """Whether the primitive rises from 0 to 1 in all settings, and so is the probability of a random spike."""
        x = np.linspace(-8, 8, 1601)
        return all(
            np.allclose(Case(self, s).ends[0], (0, 1)) and np.all(self.dg(x, **s) > -1e-12) for s in self.settings
        )


@dataclasses.dataclass
class Case:
    """An entry at one setting of its parameters."""

    entry: Entry
    setting: dict[str, Any]

    def make(self, **changes) -> bs.Surrogate:
        return self.entry.make(**{**self.setting, **changes})

    @property
    def parameters(self) -> dict[str, float]:
        return {name: value for name, value in self.setting.items() if name not in self.entry.static}

    def g(self, x, **changes):
        return self._call(self.entry.g, x, changes)

    def dg(self, x, **changes):
        return self._call(self.entry.dg, x, changes)

    @property
    def peak(self) -> float:
        """The largest gradient: at 0, or on either side of a kink."""
        return self.dg(np.add.outer([-1e-9, 0, 1e-9], [0.0, *self.kinks])).max()

    @property
    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """The primitive at -inf and +inf, and the gradient; a primitive with no limit has grown beyond 100 by 1e150."""
        if self.entry.ends:
            return np.broadcast_arrays(*self.entry.ends(**self.setting), np.zeros(2))[:2]
        far = [-1e150, 1e150]
        return np.where(np.abs(self.g(far)) > 100, np.copysign(INF, far), self.g(far)), self.dg(far)

    @property
    def kinks(self) -> list[float]:
        return self.entry.kinks(**self.setting)

    def _call(self, formula, x, changes):
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            x = np.asarray(x, np.float64)
            return np.broadcast_to(formula(x, **{**self.setting, **changes}), x.shape)


def normal(x, sigma):
    return np.exp(-(x**2) / (2 * sigma**2)) / (np.sqrt(2 * np.pi) * sigma)


def normal_cdf(x, sigma):
    return special.ndtr(x / sigma)


def logistic(x):
    return 1 / (1 + np.exp(-x))


def log_tailed(x, alpha, continuous):
    return np.where(x <= 0, alpha * x, np.where(x <= 1, x, float(continuous) + np.log(np.where(x <= 1, 1.0, x))))


def q_pseudo(x, alpha):
    base = 1 + 2 * np.abs(x) / (alpha + 1)
    integral = np.log(base) if alpha == 1 else (base ** (1 - alpha) - 1) / (1 - alpha)
    return 0.5 + np.sign(x) * (alpha + 1) / 2 * integral


def multi_gaussian(x, h, s, sigma, scale):
    wide = normal_cdf(x - sigma, s * sigma) + normal_cdf(x + sigma, s * sigma) - 1
    return 0.5 + scale * ((1 + h) * (normal_cdf(x, sigma) - 0.5) - h * wide)


def multi_gaussian_grad(x, h, s, sigma, scale):
    wide = normal(x - sigma, s * sigma) + normal(x + sigma, s * sigma)
    return scale * ((1 + h) * normal(x, sigma) - h * wide)


def escape(x, beta, slope, mu):
    def area(y):
        return np.sign(y) * slope / beta * (1 - np.exp(-beta * np.abs(y)))

    return 0.5 + area(x - mu) - area(np.float64(-mu))


def harmonics(n):
    return range(1, 2 * n, 2)


INF = float("inf")

FAMILY = [
    Entry(
        bs.Sigmoid,
        [{"alpha": 4.0}, {"alpha": 0.7}],
        g=lambda x, alpha: logistic(alpha * x),
        dg=lambda x, alpha: alpha / (2 + np.exp(alpha * x) + np.exp(-alpha * x)),
    ),
    Entry(
        bs.PiecewiseQuadratic,
        [{"alpha": 1.0}, {"alpha": 0.4}, {"alpha": 2.0}],
        g=lambda x, alpha: 0.5 + np.sign(x) * (1 - np.maximum(1 - alpha * np.abs(x), 0) ** 2) / 2,
        dg=lambda x, alpha: alpha * np.maximum(1 - alpha * np.abs(x), 0),
        kinks=lambda alpha: [-1 / alpha, 0, 1 / alpha],
    ),
    Entry(
        bs.PiecewiseExp,
        [{"alpha": 1.0}, {"alpha": 3.0}],
        g=lambda x, alpha: np.where(x < 0, np.exp(alpha * x) / 2, 1 - np.exp(-alpha * x) / 2),
        dg=lambda x, alpha: alpha / 2 * np.exp(-alpha * np.abs(x)),
    ),
    Entry(
        bs.SoftSign,
        [{"alpha": 1.0}, {"alpha": 5.0}],
        g=lambda x, alpha: 0.5 * (1 + alpha * x / (1 + np.abs(alpha * x))),
        dg=lambda x, alpha: alpha / (2 * (1 + np.abs(alpha * x)) ** 2),
    ),
    Entry(
        bs.Arctan,
        [{"alpha": 1.0}, {"alpha": 2.0}],
        g=lambda x, alpha: np.arctan(np.pi / 2 * alpha * x) / np.pi + 0.5,
        dg=lambda x, alpha: alpha / 2 / (1 + (np.pi / 2 * alpha * x) ** 2),
    ),
    Entry(
        bs.NonzeroSignLog,
        [{"alpha": 1.0}, {"alpha": 3.0}],
        g=lambda x, alpha: np.sign(x) * np.log(1 + alpha * np.abs(x)),
        dg=lambda x, alpha: alpha / (1 + alpha * np.abs(x)),
    ),
    Entry(
        bs.ERF,
        [{"alpha": 1.0}, {"alpha": 2.5}],
        g=lambda x, alpha: (1 + special.erf(alpha * x)) / 2,
        dg=lambda x, alpha: alpha / np.sqrt(np.pi) * np.exp(-((alpha * x) ** 2)),
    ),
    Entry(
        bs.PiecewiseLeakyRelu,
        [{"c": 0.01, "w": 1.0}, {"c": 0.0, "w": 0.5}, {"c": 0.2, "w": 2.0}],
        g=lambda x, c, w: np.where(x < -w, c * (x + w), np.where(x > w, c * (x - w) + 1, x / (2 * w) + 0.5)),
        dg=lambda x, c, w: np.where(np.abs(x) <= w, 1 / (2 * w), c),
        kinks=lambda c, w: [-w, w],
    ),
    Entry(
        bs.SquarewaveFourierSeries,
        [{"n": 2, "t_period": 8.0}, {"n": 1, "t_period": 3.0}, {"n": 5, "t_period": 8.0}],
        g=lambda x, n, t_period: 0.5 + 2 / np.pi * sum(np.sin(k * 2 * np.pi * x / t_period) / k for k in harmonics(n)),
        dg=lambda x, n, t_period: 4 / t_period * sum(np.cos(k * 2 * np.pi * x / t_period) for k in harmonics(n)),
        ends=lambda n, t_period: (0.5, 0),
        kinks=lambda n, t_period: [],
        static=("n",),
    ),
    Entry(
        bs.S2NN,
        [{"alpha": 4.0, "beta": 1.0, "epsilon": 1e-8}, {"alpha": 2.0, "beta": 0.3, "epsilon": 0.1}],
        g=lambda x, alpha, beta, epsilon: np.where(
            x < 0, logistic(alpha * x), 0.5 + beta * np.log(np.maximum(x, 0) + 1 + epsilon)
        ),
        dg=lambda x, alpha, beta, epsilon: np.where(
            x < 0, alpha * logistic(alpha * x) * logistic(-alpha * x), beta / (np.maximum(x, 0) + 1 + epsilon)
        ),
    ),
    Entry(
        bs.QPseudoSpike,
        [{"alpha": 2.0}, {"alpha": 1.0}, {"alpha": 0.5}, {"alpha": 6.0}, {"alpha": 1.02}],
        g=q_pseudo,
        dg=lambda x, alpha: (1 + 2 * np.abs(x) / (alpha + 1)) ** -alpha,
        ends=lambda alpha: (0.5 + np.array([-0.5, 0.5]) * ((alpha + 1) / (alpha - 1) if alpha > 1 else INF), 0),
    ),
    Entry(
        bs.NormalizedQPseudoSpike,
        [{"alpha": 2.0}, {"alpha": 1.3}, {"alpha": 8.0}],
        g=lambda x, alpha: 0.5 + np.sign(x) * (1 - (1 + 2 * np.abs(x) / (alpha - 1)) ** (1 - alpha)) / 2,
        dg=lambda x, alpha: (1 + 2 * np.abs(x) / (alpha - 1)) ** -alpha,
    ),
    Entry(
        bs.LeakyRelu,
        [{"alpha": 0.1, "beta": 1.0}, {"alpha": 1.0, "beta": 1.0}, {"alpha": 0.0, "beta": 0.5}],
        g=lambda x, alpha, beta: np.where(x < 0, alpha, beta) * x,
        dg=lambda x, alpha, beta: np.where(x < 0, alpha, beta),
    ),
    Entry(
        bs.LogTailedRelu,
        [{"alpha": 0.0, "continuous": False}, {"alpha": 0.2, "continuous": True}],
        g=log_tailed,
        dg=lambda x, alpha, continuous: np.where(x <= 0, alpha, 1 / np.maximum(x, 1)),
        kinks=lambda alpha, continuous: [0, 1],
        static=("continuous",),
    ),
    Entry(
        bs.ReluGrad,
        [{"alpha": 0.3, "width": 1.0}, {"alpha": 1.0, "width": 2.0}],
        g=lambda x, alpha, width: 0.5 + np.sign(x) * alpha / 2 * (width**2 - np.maximum(width - np.abs(x), 0) ** 2),
        dg=lambda x, alpha, width: alpha * np.maximum(width - np.abs(x), 0),
        kinks=lambda alpha, width: [-width, 0, width],
    ),
    Entry(
        bs.GaussianGrad,
        [{"sigma": 0.5, "alpha": 0.5}, {"sigma": 1.5, "alpha": 2.0}],
        g=lambda x, sigma, alpha: 0.5 + alpha * (normal_cdf(x, sigma) - 0.5),
        dg=lambda x, sigma, alpha: alpha * normal(x, sigma),
    ),
    Entry(
        bs.MultiGaussianGrad,
        [{"h": 0.15, "s": 6.0, "sigma": 0.5, "scale": 0.5}, {"h": 0.4, "s": 2.0, "sigma": 1.0, "scale": 1.5}],
        g=multi_gaussian,
        dg=multi_gaussian_grad,
    ),
    Entry(
        bs.InvSquareGrad,
        [{"alpha": 100.0}, {"alpha": 25.0}, {"alpha": 1.0}],
        g=lambda x, alpha: 0.5 + x / (1 + alpha * np.abs(x)),
        dg=lambda x, alpha: 1 / (1 + alpha * np.abs(x)) ** 2,
    ),
    Entry(
        bs.SparseFastSigmoid,
        [{"alpha": 100.0, "width": 1.0}, {"alpha": 1.0, "width": 2.0}],
        g=lambda x, alpha, width: 0.5 + np.clip(x, -width, width) / (1 + alpha * np.abs(np.clip(x, -width, width))),
        dg=lambda x, alpha, width: np.where(np.abs(x) < width, 1 / (1 + alpha * np.abs(x)) ** 2, 0.0),
        kinks=lambda alpha, width: [-width, 0, width],
    ),
    Entry(
        bs.SlayerGrad,
        [{"alpha": 1.0}, {"alpha": 4.0}],
        g=lambda x, alpha: 0.5 + np.sign(x) * (1 - np.exp(-alpha * np.abs(x))) / alpha,
        dg=lambda x, alpha: np.exp(-alpha * np.abs(x)),
    ),
    Entry(
        bs.SpikeRateEscape,
        [{"beta": 1.0, "slope": 25.0, "mu": 0.0}, {"beta": 2.0, "slope": 3.0, "mu": 1.0}],
        g=escape,
        dg=lambda x, beta, slope, mu: slope * np.exp(-beta * np.abs(x - mu)),
        kinks=lambda beta, slope, mu: [0.0, mu],
    ),
    Entry(
        bs.FakeNumericalGradient,
        [{"alpha": 0.3}, {"alpha": 2.0}],
        g=lambda x, alpha: (
            0.5
            + np.where(alpha * np.abs(x) <= 1, alpha * x, np.sign(x) * (1 + np.log(np.maximum(alpha * np.abs(x), 1))))
        ),
        dg=lambda x, alpha: np.minimum(alpha, 1 / np.abs(x)),
        kinks=lambda alpha: [-1 / alpha, 1 / alpha],
    ),
    Entry(
        bs.Circ,
        [{"alpha": 1.0}, {"alpha": 0.3}, {"alpha": 3.0}],
        g=lambda x, alpha: 0.5 + alpha * x / np.sqrt(x**2 + alpha**2),
        dg=lambda x, alpha: (1 + (x / alpha) ** 2) ** -1.5,
    ),
    Entry(
        lambda alpha, height, width: bs.Scaled(bs.Sigmoid(alpha), height, width),
        [{"alpha": 4.0, "height": 1.0, "width": 1.0}, {"alpha": 2.0, "height": 0.5, "width": 3.0}],
        g=lambda x, alpha, height, width: height * width * logistic(alpha * x / width),
        dg=lambda x, alpha, height, width: height * alpha * logistic(alpha * x / width) * logistic(-alpha * x / width),
    ),
]

CASES = [Case(entry, setting) for entry in FAMILY for setting in entry.settings]
DEFAULTS = [Case(entry, entry.settings[0]) for entry in FAMILY]


def scaled(entry: Entry, height: float, width: float) -> Case:
    """An entry at its first setting, scaled; a parameter of its own that is called width is `surrogate_width` then."""
    names = {name: f"surrogate_{name}" if name == "width" else name for name in entry.settings[0]}

    def inner(setting):
        return {name: setting[new] for name, new in names.items()}

    def ends(height, width, **setting):
        limits, slopes = Case(entry, inner(setting)).ends
        return height * width * limits, height * slopes

    stretched_entry = dataclasses.replace(
        entry,
        make=lambda height, width, **setting: entry.make(**inner(setting)).scaled(height=height, width=width),
        settings=[{new: entry.settings[0][name] for name, new in names.items()} | {"height": height, "width": width}],
        g=lambda x, height, width, **setting: height * width * entry.g(x / width, **inner(setting)),
        dg=lambda x, height, width, **setting: height * entry.dg(x / width, **inner(setting)),
        ends=ends,
        kinks=lambda height, width, **setting: [width * kink for kink in entry.kinks(**inner(setting))],
    )
    return Case(stretched_entry, stretched_entry.settings[0])


# Every member once, half of them wider and half narrower.
SCALED = [
    scaled(entry, 0.5, 2.0**-5 if i % 2 else 4.0) for i, entry in enumerate(entry for entry in FAMILY if entry.function)
]


def name(value):
    """A readable test id."""
    if isinstance(value, Case):
        f = value.make()
        scaled = f"{type(f.surrogate).__name__}-" if isinstance(f, bs.Scaled) else ""
        return f"{scaled}{type(f).__name__}({', '.join(f'{k}={v}' for k, v in value.setting.items())})"
    return None
