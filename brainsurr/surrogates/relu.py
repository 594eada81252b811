"""Surrogates shaped like a rectifier: the gradient does not vanish above threshold, or vanishes slowly."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from .._arrays import is_negative
from .._surrogate import Parameter, Surrogate, function
from ._stable import fill


@dataclasses.dataclass
class LogTailedRelu(Surrogate):
    r"""The log-tailed ReLU: linear to 1, logarithmic beyond.

    ================================= ======================= ===================== ======================
    \                                 :math:`x \le 0`         :math:`0 < x \le 1`   :math:`x > 1`
    ================================= ======================= ===================== ======================
    spike                             0, and 1 at x = 0       1                     1
    primitive :math:`g(x)`            :math:`\alpha x`        :math:`x`             :math:`\log x`
    gradient :math:`g'(x)`            :math:`\alpha`          1                     :math:`1 / x`
    ================================= ======================= ===================== ======================

    At 0: gradient :math:`\alpha`, primitive 0. Peak of the gradient: 1, on (0, 1] (:math:`\alpha` if that is
    larger). Area: infinite; the tail :math:`1/x` is what keeps a gradient at neurons far above threshold. As
    written, :math:`g` jumps from 1 to 0 at :math:`x = 1`; ``continuous=True`` has the tail :math:`1 + \log x`
    instead. The gradient is the same.

    With ``alpha=0``, the default, nothing flows through a neuron below threshold: a layer in which no neuron
    fires gets no gradient at all and stays silent for good. Any small alpha lets it recover.

    Which alpha? In the documentation's page *Studies*, ``alpha=0.01`` trains shallow and recurrent
    networks about as well as 0 does, and none of them stays silent; in twelve and sixteen layers 0.1 is better by far,
    with a width of 0.25 or 0.5; 0.3 is nowhere better, and can ruin a recurrent network. In deep and in recurrent
    networks other surrogates are better still.

    The knee lies at 1. ``f.scaled(width=w)`` (:meth:`Surrogate.scaled`) puts it at any other w, where it suits the
    membrane potential better:

    .. math:: g'\Bigl(\frac{x}{w}\Bigr) = \begin{cases} \alpha & x \le 0 \\ 1 & 0 < x \le w \\
       w / x & x > w \end{cases}

    To train w, take ``continuous=True``: its derivative is that of the primitive, in which a jump at x = w would be
    left out.

    Args:
      alpha: slope below threshold, dimensionless, usually in [0, 1]; a number or an array that broadcasts into x.
      continuous: whether the tail of the primitive is :math:`1 + \log x`.
      origin: whether calling it returns :math:`g(x)` in place of the spike.

    Note:
      :math:`\mathrm{d}/\mathrm{d}\alpha` is that of the primitive, :math:`\min(x, 0)`: see
      :func:`brainsurr.spike`. It is not the way to the :math:`\alpha` that trains best, and nothing stops it: train
      :math:`\alpha` within bounds (the default of the layers) and from a small start.

    See Also:
      :class:`LeakyRelu`, the same without the tail, which deep and recurrent networks need.
      :class:`FakeNumericalGradient`, with the tail on both sides.
      :class:`Sigmoid`, the default of the layers.

    References:
      Cai, He, Sun, Vasconcelos 2017, "Deep Learning with Low Precision by Half-wave Gaussian Quantization"
      (the log-tailed ReLU, :math:`q_m = 1`, with the continuous tail).

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> x = jnp.array([-1.0, 0.5, 2.0])
      >>> f = bs.LogTailedRelu(alpha=0.1)
      >>> f(x)
      Array([0., 1., 1.], dtype=float32)
      >>> jax.vmap(jax.grad(f))(x)
      Array([0.1, 1. , 0.5], dtype=float32)
      >>> jax.vmap(jax.grad(f.scaled(width=0.25)))(x)
      Array([0.1  , 0.5  , 0.125], dtype=float32)
      >>> f.origin = True
      >>> print(f(jnp.array([-1.0, 0.5, 1.0])))
      [-0.1  0.5  1. ]
    """

    bounds = {"alpha": (0.0, 1.0)}

    alpha: Parameter = 0.0
    _: dataclasses.KW_ONLY
    continuous: bool = False

    def surrogate_fun(self, x):
        # -inf * 0 is NaN, so at alpha = 0 the x below is 0; where(alpha == 0, 0, ...) would cut alpha's gradient.
        below = self.alpha * jnp.where((self.alpha == 0) & (x == -jnp.inf), jnp.zeros_like(x), x)
        tail = jnp.log(_at_least_one(x)) + float(self.continuous)
        return jnp.where(_is_positive(x), jnp.where(x <= 1, x, tail), below)

    def surrogate_grad(self, x):
        slope = 1 / _at_least_one(x)  # 1 below 0; XLA would keep an array of alphas for a loop
        return jnp.where(_is_positive(x), slope, self.alpha * slope)


@dataclasses.dataclass
class LeakyRelu(Surrogate):
    r"""The leaky ReLU: one slope below threshold, another above.

    .. math:: g(x) = \begin{cases} \alpha x & x < 0 \\ \beta x & x \ge 0 \end{cases}
       \qquad g'(x) = \begin{cases} \alpha & x < 0 \\ \beta & x \ge 0 \end{cases}

    At 0: gradient :math:`\beta`, primitive 0. Peak of the gradient: :math:`\max(\alpha, \beta)`. Area: infinite.
    ``LeakyRelu(1, 1)`` is the straight-through estimator, whose gradient is 1 everywhere.

    Args:
      alpha: slope below threshold, dimensionless; a number or an array that broadcasts into x.
      beta: slope above threshold, likewise.
      origin: whether calling it returns :math:`g(x)` in place of the spike.

    References:
      Maas, Hannun, Ng 2013, "Rectifier Nonlinearities Improve Neural Network Acoustic Models", section 2.

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> jax.vmap(jax.grad(bs.LeakyRelu()))(jnp.array([-1.0, 0.0, 2.0]))
      Array([0.1, 1. , 1. ], dtype=float32)
    """

    bounds = {"alpha": (0.0, 1.0), "beta": (0.0, 10.0)}

    alpha: Parameter = 0.1
    beta: Parameter = 1.0

    def surrogate_fun(self, x):
        below = self.alpha * jnp.where((self.alpha == 0) & (x == -jnp.inf), jnp.zeros_like(x), x)
        above = self.beta * jnp.where((self.beta == 0) & (x == jnp.inf), jnp.zeros_like(x), x)
        return jnp.where(is_negative(x), below, above)

    def surrogate_grad(self, x):
        return jnp.where(is_negative(x), fill(self.alpha, x), self.beta)


def _is_positive(x: jax.Array) -> jax.Array:
    """Return x > 0, also for subnormal numbers."""
    return jax.lax.bitcast_convert_type(x, f"int{8 * x.dtype.itemsize}") > 0


@jax.custom_jvp
def _at_least_one(x: jax.Array) -> jax.Array:
    """Return the larger of x and 1, compared as integers."""
    bits = jax.lax.bitcast_convert_type(x, f"int{8 * x.dtype.itemsize}")
    return jax.lax.bitcast_convert_type(jnp.maximum(bits, np.array(1, x.dtype).view(bits.dtype)), x.dtype)


@_at_least_one.defjvp
def _at_least_one_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    return _at_least_one(x), jnp.where(x <= 1, jnp.zeros_like(dx), dx)


log_tailed_relu = function(LogTailedRelu, "log_tailed_relu")
leaky_relu = function(LeakyRelu, "leaky_relu")
