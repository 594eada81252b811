"""The surrogates of other libraries, as the version named computes them, and the same functions here."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from math import pi

from ._surrogate import Surrogate
from .surrogates import (
    ERF,
    S2NN,
    Arctan,
    Circ,
    FakeNumericalGradient,
    GaussianGrad,
    InvSquareGrad,
    LeakyRelu,
    LogTailedRelu,
    MultiGaussianGrad,
    NonzeroSignLog,
    NormalizedQPseudoSpike,
    PiecewiseExp,
    PiecewiseLeakyRelu,
    PiecewiseQuadratic,
    ReluGrad,
    Sigmoid,
    SoftSign,
    SparseFastSigmoid,
    SpikeRateEscape,
    SquarewaveFourierSeries,
)


@dataclasses.dataclass(frozen=True)
class Original:
    """A surrogate of another library.

    Attributes:
      name: as one calls it there.
      gradient: what its backward pass computes, whatever its documentation says.
      make: the surrogate here, from the parameters of the original, with the defaults of the original.
      why_none: why there is no such function here, empty if there is; ``{}`` stands for the nearest, of ``make``.
      note: what is wrong in the original, and where the two differ.
      library: its import name.
      version: the version that was run.
      at_0: the forward value at x = 0, ``"random"`` if it is drawn. Here it is always 1.
    """

    name: str
    gradient: str
    make: Callable[..., Surrogate] = dataclasses.field(repr=False)
    why_none: str = ""
    note: str = ""
    _: dataclasses.KW_ONLY
    library: str
    version: str
    at_0: float | str

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """The parameters of the original by name, each with its ``default``."""
        return inspect.signature(self.make).parameters


snntorch = functools.partial(Original, library="snntorch", version="1.0.0", at_0=0)
spikingjelly = functools.partial(Original, library="spikingjelly", version="2.0.0", at_0=1)
norse = functools.partial(Original, library="norse", version="1.1.0", at_0=0)
spyx = functools.partial(Original, library="spyx", version="1.0.0", at_0=0)
jaxpike = functools.partial(Original, library="jaxpike", version="0.1.4", at_0=0)
sparx = functools.partial(Original, library="sparx", version="0.1.1", at_0=1)
slax = functools.partial(Original, library="slax", version="0.0.1", at_0=1)
jaxsnn = functools.partial(Original, library="jaxsnn", version="0.3.0", at_0=0.5)
snnax = functools.partial(Original, library="snnax", version="0.0.1", at_0=1)

NEEDS_A_KEY = (
    "its spike is drawn at random, which needs a key: `brainsurr.spike(x, f, key=key)` draws one, with the probability "
    "that is the primitive of `f`. "
)

ORIGINALS = [
    snntorch(
        "straight_through_estimator",
        "1",
        lambda: LeakyRelu(alpha=1.0, beta=1.0),
        note="Its documentation is headed fast sigmoid.",
    ),
    snntorch(
        "triangular",
        "threshold for x < 0, -threshold for x >= 0",
        lambda threshold=1: LeakyRelu(alpha=threshold, beta=-threshold),
        note="Wrong sign: not a triangle but the slope of one, negative above threshold. A triangle is "
        "`PiecewiseQuadratic` or `ReluGrad`.",
    ),
    snntorch("fast_sigmoid", "1 / (1 + slope |x|)^2", lambda slope=25: InvSquareGrad(alpha=slope)),
    snntorch(
        "atan",
        "(alpha / 2) / (1 + (pi/2 alpha x)^2)",
        lambda alpha=2.0: Arctan(alpha=alpha),
        note="snnTorch's default. Documented with 1/pi in front, coded with alpha/2.",
    ),
    snntorch(
        "heaviside",
        "1 for x > 0, else 0",
        lambda: LeakyRelu(alpha=0.0, beta=1.0),
        note="At x = 0 the gradient is 0 there and 1 here.",
    ),
    snntorch(
        "sigmoid",
        "slope s (1 - s), s = sigmoid(slope x)",
        lambda slope=25: Sigmoid(alpha=slope),
        note="NaN in float32 for slope x < -88, from x = -3.5 down at the default: exp overflows.",
    ),
    snntorch(
        "spike_rate_escape",
        "slope exp(-beta |x - 1|)",
        lambda beta=1, slope=25: SpikeRateEscape(beta=beta, slope=slope, mu=1.0),
        note="The peak lies a threshold too high: documented in U - 1, coded in x - 1 with x = U - threshold. The "
        "intended function has `mu=0.0`.",
    ),
    snntorch(
        "SSO",
        "1 for x > 0, else uniform in [mean - 0.5, mean + 0.5) times variance",
        lambda mean=0, variance=0.2: LeakyRelu(alpha=mean * variance, beta=1.0),
        why_none="its gradient below threshold is drawn anew at every call, which needs a key. Its mean is that of {}",
        note="`variance` is a range, not a variance.",
    ),
    snntorch(
        "LSO",
        "none; meant: 1 for x > 0, slope below",
        lambda slope=0.1: LeakyRelu(alpha=slope, beta=1.0),
        why_none="it raises a TypeError at every call. The intended function is {}",
        note="The operator it calls also fails in the backward pass: one gradient for two inputs.",
    ),
    snntorch(
        "SFS",
        "1 / (1 + slope |x|)^2 for x > B, else 0",
        lambda slope=25, B=1: SparseFastSigmoid(alpha=slope, width=B),
        note="The equivalent is the paper's function, not what the code does: Perez-Nieves and Goodman keep |x| < B, "
        "the code and its documentation keep x > B, so that no gradient passes anywhere near the threshold.",
    ),
    spikingjelly(
        "PiecewiseQuadratic", "alpha max(0, 1 - alpha |x|)", lambda alpha=1.0: PiecewiseQuadratic(alpha=alpha)
    ),
    spikingjelly("PiecewiseExp", "(alpha / 2) exp(-alpha |x|)", lambda alpha=1.0: PiecewiseExp(alpha=alpha)),
    spikingjelly(
        "Sigmoid",
        "alpha s (1 - s), s = sigmoid(alpha x)",
        lambda alpha=4.0: Sigmoid(alpha=alpha),
        note="SpikingJelly's default.",
    ),
    spikingjelly(
        "SoftSign",
        "(alpha / 2) / (1 + alpha |x|)^2",
        lambda alpha=2.0: SoftSign(alpha=alpha),
        note="`soft_sign_backward` is documented with |x / alpha|.",
    ),
    spikingjelly(
        "SuperSpike",
        "alpha / (1 + |x|)^2",
        lambda alpha=1.0: alpha * InvSquareGrad(alpha=1.0),
        note="alpha is a gain here, not the steepness that it is in the paper.",
    ),
    spikingjelly("ATan", "(alpha / 2) / (1 + (pi/2 alpha x)^2)", lambda alpha=2.0: Arctan(alpha=alpha)),
    spikingjelly("NonzeroSignLogAbs", "alpha / (1 + alpha |x|)", lambda alpha=1.0: NonzeroSignLog(alpha=alpha)),
    spikingjelly("Erf", "(alpha / sqrt(pi)) exp(-(alpha x)^2)", lambda alpha=2.0: ERF(alpha=alpha)),
    spikingjelly(
        "PiecewiseLeakyReLU",
        "1 / (2 w) for |x| < w, else c",
        lambda w=1.0, c=0.01: PiecewiseLeakyRelu(c=c, w=w),
        note="The order of the parameters is (w, c) there, (c, w) here. At |x| = w the gradient is c there "
        "(documented as 1 / (2 w)) and 1 / (2 w) here.",
    ),
    spikingjelly(
        "SquarewaveFourierSeries",
        "(4 / T_period) sum over i < n of cos((2 i - 1) 2 pi x / T_period)",
        lambda n=2, T_period=8: SquarewaveFourierSeries(n=n - 1, t_period=T_period),
        note="n counts one term more than there are; n = 1 is a gradient of 0 there and an error here.",
    ),
    spikingjelly(
        "S2NN",
        "alpha s (1 - s) for x < 0, beta / (1 + x) from 0 on",
        lambda alpha=4.0, beta=1.0: S2NN(alpha=alpha, beta=beta),
        note="The primitive is documented with a constant of 1, coded with 1/2. Here 1 + x is 1 + x + 1e-8.",
    ),
    spikingjelly(
        "QPseudoSpike",
        "(1 + 2 |x| / (alpha - 1))^-alpha",
        lambda alpha=2.0: NormalizedQPseudoSpike(alpha=alpha),
        note="Not `QPseudoSpike`, which has alpha + 1 here and in braintools.",
    ),
    spikingjelly(
        "LeakyKReLU",
        "k for x >= 0, leak below",
        lambda leak=0.0, k=1.0: LeakyRelu(alpha=leak, beta=k),
        note="leak is 0 by default, alpha 0.1 here.",
    ),
    spikingjelly(
        "FakeNumericalGradient",
        "min(alpha, 1 / |x|)",
        lambda alpha=0.3: FakeNumericalGradient(alpha=alpha),
        note="Its backward pass is documented as (2 - sign x) / x.",
    ),
    spikingjelly(
        "LogTailedReLU",
        "alpha for x <= 0, 1 up to x = 1, 1 / x beyond",
        lambda alpha=0.0: LogTailedRelu(alpha=alpha, continuous=True),
        note="Its primitive is the continuous one; the gradient is the same either way.",
    ),
    spikingjelly("DeterministicPass", "1", lambda: LeakyRelu(alpha=1.0, beta=1.0)),
    spikingjelly(
        "Rect",
        "alpha for |x| < 0.5 / alpha, else 0",
        lambda alpha=1.0: PiecewiseLeakyRelu(c=0.0, w=0.5 / alpha),
        note="At the two edges the gradient is 0 there and alpha here.",
    ),
    spikingjelly(
        "MultiLevelSpikeCount",
        "1 for 0 <= x <= max_spike_count (or inside grad_window), else 0",
        lambda max_spike_count, grad_window=None: LeakyRelu(alpha=0.0, beta=1.0),
        why_none="it isn't binary: it rounds x to 0, 1, ... max_spike_count. The nearest spike is {}",
        at_0=0,
    ),
    spikingjelly(
        "PoissonPass",
        "1",
        lambda: LeakyRelu(alpha=1.0, beta=1.0),
        why_none=NEEDS_A_KEY + "Its gradient is that of {}",
        note="The spike has the probability x; outside [0, 1] it raises.",
        at_0="random",
    ),
    norse(
        "heaviside",
        "none",
        lambda: LeakyRelu(alpha=0.0, beta=0.0),
        why_none="it has no gradient, and its backward pass raises. A spike with a gradient of 0 is {}",
    ),
    norse(
        "super",
        "1 / (1 + |x|)^2",
        lambda alpha=100.0: InvSquareGrad(alpha=1.0),
        note="norse's default. alpha is ignored: documented and intended is 1 / (1 + alpha |x|)^2, "
        "`InvSquareGrad(alpha=alpha)`.",
    ),
    norse("triangle", "alpha max(0, 1 - |x|)", lambda alpha=0.3: ReluGrad(alpha=alpha, width=1.0)),
    norse(
        "tanh",
        "1 - tanh(alpha x)^2",
        lambda alpha: 2 / alpha * Sigmoid(alpha=2 * alpha),
        note="alpha has no default; the neurons pass 100. Documented as 1/2 + tanh(alpha x) / 2, whose slope is "
        "alpha / 2 times this.",
    ),
    norse(
        "circ",
        "(1 + (x / alpha)^2)^(-3/2)",
        lambda alpha: Circ(alpha=alpha),
        note="alpha is a width, not a steepness, and has no default; the 100 that the neurons pass makes it flat. "
        "Documented with a slope of 1 / (2 alpha) times this. NaN at infinity.",
    ),
    norse(
        "heavi_erfc",
        "(2 / sqrt(pi)) exp(-(alpha x)^2)",
        lambda alpha: 2 / alpha * ERF(alpha=alpha),
        note="alpha has no default; the neurons pass 100. Documented as 1/2 + erfc(alpha x) / 2, which falls with x; "
        "up to its sign the slope is alpha / 2 times this.",
    ),
    norse(
        "logistic_fn",
        "1 - tanh(k x)^2",
        lambda k: 2 / k * Sigmoid(alpha=2 * k),
        why_none=NEEDS_A_KEY + "Its gradient is that of {}",
        note="k has no default. `threshold` doesn't accept its name. The same spikes are drawn with "
        "`f = Sigmoid(alpha=2 * k)`, whose gradient is that of their mean, k / 2 times the one there.",
        at_0="random",
    ),
    norse(
        "circ_dist_fn",
        "(1 + (x / k)^2)^(-3/2)",
        lambda k: Circ(alpha=k),
        why_none=NEEDS_A_KEY + "Its gradient is that of {}",
        note="k has no default. `threshold` doesn't accept its name.",
        at_0="random",
    ),
    spyx("superspike", "1 / (1 + k |x|)^2", lambda k=25: InvSquareGrad(alpha=k), note="spyx's default."),
    spyx(
        "arctan",
        "(1 / pi) / (1 + (pi k x)^2)",
        lambda k=2: 1 / (pi * k) * Arctan(alpha=2 * k),
        note="At the same parameter half as wide as the `Arctan` of everyone else, and 1 / pi high whatever k is.",
    ),
    spyx(
        "tanh",
        "sech(k x)^2 = 4 / (exp(k x) + exp(-k x))^2",
        lambda k=1: 2 / k * Sigmoid(alpha=2 * k),
        note="Documented as the derivative of tanh(k x), which would have a factor k.",
    ),
    spyx(
        "boxcar",
        "height for |x| < width / 2, else 0",
        lambda width=2, height=0.5: width * height * PiecewiseLeakyRelu(c=0.0, w=width / 2),
        note="At the two edges the gradient is 0 there (documented as height) and height here.",
    ),
    spyx("triangular", "max(0, 1 - k |x|)", lambda k=2: ReluGrad(alpha=k, width=1 / k)),
    spyx(
        "custom",
        "x",
        lambda bwd=None, fwd=None: LeakyRelu(alpha=1.0, beta=1.0),
        why_none="its backward pass by default is the identity function, so its gradient is x, negative below "
        "threshold. The intended function, the straight-through estimator with a gradient of 1, is {}",
        note="With a `bwd` of your own, subclass `Surrogate` and give that as `surrogate_grad`.",
    ),
    spyx(
        "experimental.sigmoid_bernoulli",
        "max_prob sigmoid(k (x - threshold))",
        lambda k=10, threshold=1.0, max_prob=0.8: max_prob * Sigmoid(alpha=k),
        why_none=NEEDS_A_KEY + "Its gradient is the probability itself and not a slope; the slope, at the threshold, "
        "is that of {}",
        note="With max_prob = 1 the same spikes are drawn with `f = Sigmoid(alpha=k)`.",
        at_0="random",
    ),
    spyx(
        "experimental.refractory_sigmoid_bernoulli",
        "max(0, cos(2 pi threshold (x - threshold)) sigmoid(k (x - threshold)))",
        lambda k=50, threshold=1: Sigmoid(alpha=k),
        why_none=NEEDS_A_KEY
        + "Its gradient is the probability itself and not a slope; the slope of the sigmoid in it, "
        "at the threshold, is that of {}",
        at_0="random",
    ),
    jaxpike(
        "FastSigmoid", "1 / (1 + slope |x|)^2", lambda slope=25.0: InvSquareGrad(alpha=slope), note="jaxpike's default."
    ),
    jaxpike("ATan", "(alpha / 2) / (1 + (pi/2 alpha x)^2)", lambda alpha=2.0: Arctan(alpha=alpha)),
    jaxpike("Triangular", "max(0, 1 - |x| / width) / width", lambda width=1.0: PiecewiseQuadratic(alpha=1 / width)),
    jaxpike(
        "Boxcar",
        "1 / width for |x| < width / 2, else 0",
        lambda width=1.0: PiecewiseLeakyRelu(c=0.0, w=width / 2),
        note="Called the straight-through estimator. At the two edges the gradient is half as high there.",
    ),
    sparx(
        "ATan", "(alpha / 2) / (1 + (pi/2 alpha x)^2)", lambda alpha=2.0: Arctan(alpha=alpha), note="sparx's default."
    ),
    sparx("Sigmoid", "alpha s (1 - s), s = sigmoid(alpha x)", lambda alpha=4.0: Sigmoid(alpha=alpha)),
    sparx("FastSigmoid", "1 / (1 + slope |x|)^2", lambda slope=25.0: InvSquareGrad(alpha=slope)),
    sparx(
        "Triangle",
        "scale max(0, 1 - |x| / width)",
        lambda width=1.0, scale=1.0: ReluGrad(alpha=scale / width, width=width),
    ),
    sparx(
        "Rectangle",
        "1 / width for |x| < width / 2, else 0",
        lambda width=1.0: PiecewiseLeakyRelu(c=0.0, w=width / 2),
        note="At the two edges the gradient is 0 there and 1 / width here.",
    ),
    sparx(
        "Gaussian",
        "the normal density of standard deviation sigma",
        lambda sigma=0.5: GaussianGrad(sigma=sigma, alpha=1.0),
        note="`GaussianGrad` has half of it by default: alpha is 0.5.",
    ),
    sparx("StraightThrough", "1", lambda: LeakyRelu(alpha=1.0, beta=1.0)),
    slax("fast_sigmoid", "1 / (1 + slope |x|)^2", lambda slope=25: InvSquareGrad(alpha=slope)),
    slax("atan", "(alpha / 2) / (1 + (pi/2 alpha x)^2)", lambda alpha=2.0: Arctan(alpha=alpha)),
    slax(
        "multi_gauss",
        "gamma ((1 + height) N(x; 0, lens) - height (N(x; lens, scale lens) + N(x; -lens, scale lens)))",
        lambda gamma=0.5, lens=0.3, scale=6.0, height=0.15: MultiGaussianGrad(
            h=height, s=scale, sigma=lens, scale=gamma
        ),
        note="N(x; mean, standard deviation). Its scale is s here, its gamma is scale here; lens is 0.3 where sigma is "
        "0.5 here.",
    ),
    jaxsnn(
        "superspike",
        "1 / (1 + alpha |x|)^2",
        lambda alpha=80: InvSquareGrad(alpha=alpha),
        note="No derivative in forward mode.",
    ),
    snnax(
        "superspike_surrogate",
        "1 / (1 + beta |x|)",
        lambda beta=10.0: 1 / beta * NonzeroSignLog(alpha=beta),
        note="The square is missing. Intended, and cited, is 1 / (1 + beta |x|)^2, `InvSquareGrad(alpha=beta)`.",
    ),
    snnax(
        "sigmoid_surrogate",
        "none; meant: beta s (1 - s), s = sigmoid(beta x)",
        lambda beta=1.0: Sigmoid(alpha=beta),
        why_none="its backward pass raises a TypeError. The intended function is {}",
        note="The formula in it, s (1 - beta s), would be wrong too.",
    ),
    snnax(
        "piecewise_surrogate",
        "1 for |x| < beta, else 0",
        lambda beta=0.5: 2 * beta * PiecewiseLeakyRelu(c=0.0, w=beta),
        note="A rectangle, documented as a sigmoid. At the two edges the gradient is 0 there and 1 here.",
    ),
]
