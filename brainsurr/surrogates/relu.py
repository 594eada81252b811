"""Surrogates shaped like a rectifier: above the threshold, the gradient stays constant or falls slowly."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from .._arrays import is_negative
from .._surrogate import Parameter, Surrogate, function
from ._stable import fill


@dataclasses.dataclass
class LogTailedRelu(Surrogate):
    r"""The log-tailed ReLU: linear up to 1, and logarithmic beyond.

    ================================= ======================= ===================== ======================
    \                                 :math:`x \le 0`         :math:`0 < x \le 1`   :math:`x > 1`
    ================================= ======================= ===================== ======================
    spike                             0, and 1 at x = 0       1                     1
    primitive :math:`g(x)`            :math:`\alpha x`        :math:`x`             :math:`\log x`
    gradient :math:`g'(x)`            :math:`\alpha`          1                     :math:`1 / x`
    ================================= ======================= ===================== ======================

    At 0: gradient :math:`\alpha`, primitive 0. Peak of the gradient: 1, on (0, 1] (:math:`\alpha` if that is
    larger). Area: infinite. Because of the tail :math:`1/x`, neurons far above the threshold still receive a gradient.
    As written, :math:`g` jumps from 1 to 0 at :math:`x = 1`. With ``continuous=True``, the tail is
    :math:`1 + \log x`, and the gradient is the same.

    With ``alpha=0``, the default, no gradient flows through a neuron below the threshold. A layer in which no neuron
    fires then receives no gradient and stays silent. With a small alpha above 0, it can recover.

    The documentation's page *Which surrogate?* compares three variants. Of these, use
    ``LogTailedRelu(0.1).scaled(width=0.25)`` with a tuned learning rate, or ``LogTailedRelu(0.01)`` without tuning.
    Other surrogates, such as :class:`Sigmoid`, reach a higher accuracy.

    The gradient starts to fall at 1. ``f.scaled(width=w)`` (:meth:`Surrogate.scaled`) moves this point to any other w,
    which may suit the membrane potential better:

    .. math:: g'\Bigl(\frac{x}{w}\Bigr) = \begin{cases} \alpha & x \le 0 \\ 1 & 0 < x \le w \\
       w / x & x > w \end{cases}

    To train w, use ``continuous=True``. The derivative with respect to w is the derivative of the primitive, which
    would ignore a jump at x = w.

    Args:
      alpha: slope below the threshold, dimensionless, usually in [0, 1]. A number, or an array that broadcasts into x.
      continuous: if True, the tail of the primitive is :math:`1 + \log x`.
      origin: if True, calling the surrogate returns :math:`g(x)` instead of the spike.

    Note:
      The derivative with respect to :math:`\alpha` is the derivative of the primitive, :math:`\min(x, 0)`: see
      :func:`brainsurr.spike`. Training follows this derivative, which need not lead to the :math:`\alpha` that trains
      best, and can move :math:`\alpha` without limit. So train it within bounds, as the layers do by default, and
      start from a small value.

    See Also:
      :class:`LeakyRelu`, without the tail. Deep and recurrent networks need the tail.
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
        # -inf * 0 is NaN, so replace x = -inf by 0 if alpha is 0; where(alpha == 0, 0, ...) would cut alpha's gradient.
        below = self.alpha * jnp.where((self.alpha == 0) & (x == -jnp.inf), jnp.zeros_like(x), x)
        tail = jnp.log(_at_least_one(x)) + float(self.continuous)
        return jnp.where(_is_positive(x), jnp.where(x <= 1, x, tail), below)

    def surrogate_grad(self, x):
        # For x <= 1, the slope is 1. Multiply it by alpha: for alpha alone, XLA would store an array throughout a loop.
        slope = 1 / _at_least_one(x)
        return jnp.where(_is_positive(x), slope, self.alpha * slope)


@dataclasses.dataclass
class LeakyRelu(Surrogate):
    r"""The leaky ReLU: one slope below the threshold, and another above.

    .. math:: g(x) = \begin{cases} \alpha x & x < 0 \\ \beta x & x \ge 0 \end{cases}
       \qquad g'(x) = \begin{cases} \alpha & x < 0 \\ \beta & x \ge 0 \end{cases}

    At 0: gradient :math:`\beta`, primitive 0. Peak of the gradient: :math:`\max(\alpha, \beta)`. Area: infinite.
    ``LeakyRelu(1, 1)`` is the straight-through estimator, whose gradient is 1 everywhere.

    Args:
      alpha: slope below the threshold, dimensionless. A number, or an array that broadcasts into x.
      beta: slope above the threshold, dimensionless. A number or an array, like alpha.
      origin: if True, calling the surrogate returns :math:`g(x)` instead of the spike.

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
