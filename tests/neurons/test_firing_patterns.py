"""AdEx and Izhikevich neurons: the spikes of norse and brainpy, and the firing patterns of the papers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainsurr.neurons import AdEx, Izhikevich

WAVE = (2.0 + 1.5 * np.sin(np.arange(400.0) / 20)).astype(np.float32)


def spike_times(neuron, xs):
    xs = jnp.asarray(xs, jnp.float32)[:, None]
    return np.flatnonzero(neuron(neuron.initial_state(xs[0]), xs)[1]).tolist()


# From norse 1.1.0: `lif_adex_step`, which has the published form, and `izhikevich_feed_forward_step`, each with a step
# of 1 ms, and with a synaptic time constant of one step, so that the current of a step is its input.
ADEX = [5, 11, 17, 23, 29, 35, 42, 52, 130, 139, 146, 153, 160, 169, 256, 265, 272, 279, 286, 295, 382, 391, 398]
IZHIKEVICH = [12, 19, 26, 33, 40, 48, 58, 158, 166, 175, 187, 287, 295, 305, 326]


def test_spikes_are_those_of_norse():
    adapts = {"adaptation_rate": 0.01, "adaptation_coupling": 0.5, "adaptation_jump": 0.25}
    assert spike_times(AdEx(rate=0.1, sharpness=0.5, reset_to=-0.25, peak=1.0, **adapts), WAVE) == ADEX
    assert spike_times(Izhikevich(c=-50.0, d=2.0, dt=0.25), 5 * WAVE) == IZHIKEVICH


# From brainpy 2.9.0: the steps in which `Izhikevich` and `AdExIF` fire, with exponential Euler steps of 0.01 ms. AdExIF
# has V_rest=-65, V_reset=-60, V_T=-50, V_th=-40 and delta_T=2 mV, tau=10 and tau_w=50 ms, a=0.1 S and b=2 mA.
BRAINPY_ADEX = [1293, 2530, 3937, 5501, 7190, 8967, 10800, 12665, 14549, 16443, 18342]
BRAINPY_IZHIKEVICH = [312, 2625, 7110, 11593, 16076]


def test_small_steps_converge_to_the_spikes_of_brainpy():
    """Both methods are of first order, so that each interval may differ by a step or two."""
    adapts = {"adaptation_rate": 0.01 / 50, "adaptation_coupling": 0.1, "adaptation_jump": 2 / 15}
    adex = AdEx(rate=0.01 / 10, sharpness=2 / 15, reset_to=5 / 15, peak=25 / 15, **adapts)
    for neuron, x, expected in ((adex, 25 / 15, BRAINPY_ADEX), (Izhikevich(dt=0.01), 10.0, BRAINPY_IZHIKEVICH)):
        late = np.subtract(spike_times(neuron, np.full(20_000, x)), expected)
        assert np.all(np.abs(late) <= 2 * np.arange(1, len(expected) + 1))


def test_a_steep_upstroke_does_not_overflow():
    """The exponential reaches exp(100); after a spike, the potential is exactly that of the reset."""
    neuron, v = AdEx(sharpness=0.01, reset_to=0.3), np.linspace(-1, 2, 301, dtype=np.float32)
    u = v.astype(float)
    u += 0.1 * (0.01 * np.exp((u - 1) / 0.01) - u + 1)
    (after, _), s = neuron.step((jnp.asarray(v), jnp.zeros(301)), jnp.ones(301))
    np.testing.assert_array_equal(s, u >= 2)
    np.testing.assert_allclose(after, np.where(u >= 2, np.float32(0.3), u), rtol=1e-4)

    def summed(sharpness, v):
        return jnp.sum(neuron.replace(sharpness=sharpness)(2 * (v,), jnp.ones((3, 301)))[1])

    assert all(np.all(np.isfinite(g)) for g in jax.grad(summed, (0, 1))(0.01, jnp.asarray(v)))


# Figure 2 of Izhikevich 2003, with a current of 10 and steps of 0.25 ms.
PATTERNS = {
    "regular": {},
    "bursting at first": {"c": -55.0, "d": 4.0},
    "chattering": {"c": -50.0, "d": 2.0},
    "fast": {"a": 0.1, "d": 2.0},
}


def test_firing_patterns():
    """Regular spiking adapts, an intrinsic burst starts with short intervals, chattering repeats them, fast is fast."""
    intervals = {
        name: np.diff(spike_times(Izhikevich(dt=0.25, **p), np.full(4000, 10.0))) for name, p in PATTERNS.items()
    }
    regular, first, chattering, fast = intervals.values()
    assert regular[0] < regular[-1]
    assert np.ptp(regular[2:]) <= 0.1 * regular[-1]
    assert first[0] < 0.5 * first[-1]
    assert np.ptp(first[3:]) <= 0.1 * first[-1]
    short = chattering < 0.5 * chattering.max()
    assert short.any()
    assert (~short[2:]).sum() >= 5
    assert len(fast) > 2 * len(regular)


@pytest.mark.parametrize("coupling", [0.5, -0.5])
def test_adaptation_below_threshold_moves_the_rest(coupling):
    """At rest, v = x - w and w = coupling v, so v = x / (1 + coupling), where the exponential is 0."""
    neuron, x = (
        AdEx(rate=0.2, sharpness=0.02, adaptation_rate=0.1, adaptation_coupling=coupling),
        jnp.full((400, 1), 0.2),
    )
    (v, w), _ = neuron(neuron.initial_state(x[0]), x)
    np.testing.assert_allclose([v[0], w[0]], np.array([1, coupling]) * 0.2 / (1 + coupling), rtol=1e-5)
