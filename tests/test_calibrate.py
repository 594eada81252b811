"""The width of each layer fitted to its membrane: against a loop, in each framework, without compiling anything."""

import dataclasses
import json

import brainstate
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from close import assert_close
from combinations import first_quick, label
from flax import linen, nnx
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import brainsurr as bs
from tools.hosts import HOSTS, by_name

T, B, F = 12, 3, 4
rng = np.random.default_rng(0)
X = rng.integers(-6, 15, (T, B, F)) / 8  # small multiples of a power of two: nothing is rounded
X[..., -1] = -1
OPERATIONS = X.size + 8  # a sum of squares over all of it, and a root


@pytest.fixture(params=first_quick(HOSTS), ids=label)
def host(request):
    return request.param()


def by_loop(inputs=X, decay=0.5, threshold=1.0):
    """Potential minus threshold of LIF neurons in each step."""
    v, xs = np.zeros((B, F)), []
    for x in inputs:
        u = decay * v + x
        xs.append(u - threshold)
        v = u - threshold * (u >= threshold)
    return np.array(xs)


def rms(x, axis=None):
    return np.sqrt(np.mean(np.square(x), axis))


def calibrated(host, net, xs, **kwargs):
    """The report, and the trained parameters by name afterwards."""
    xs = jnp.asarray(xs, jnp.float32)
    if host.name == "nnx":
        report = host.layers.calibrate(net, lambda net: net(net.initialize_carry(xs.shape[1:]), xs), **kwargs)
        return report, by_name(host.params(net, xs))
    if host.name == "linen":
        carry, variables = net.initialize_carry(host.key(), xs.shape[1:]), {"params": host.params(net, xs)}
        new, report = host.layers.calibrate(variables, lambda variables: net.apply(variables, carry, xs), **kwargs)
        bare, again = host.layers.calibrate(
            variables["params"], lambda params: net.apply({"params": params}, carry, xs), **kwargs
        )
        jax.tree.map(np.testing.assert_array_equal, bare, new["params"])
        assert report == again
        return report, by_name(new["params"])
    brainstate.nn.init_all_states(net, xs.shape[1])
    report = host.layers.calibrate(net, lambda: net(xs), **kwargs)
    return report, by_name(host.params(net, xs))


def lif(host, f, **kwargs):
    return host.layers.LIF(F, decay=0.5, spike_fn=host.layers.SpikingActivation(f, **kwargs))


@pytest.mark.parametrize("k", [1.0, 0.25])
@pytest.mark.parametrize("per_channel", [False, True])
def test_widths_are_those_of_a_loop(host, k, per_channel):
    f = bs.Arctan(2.0).scaled(width=np.full(F, 3.0, np.float32) if per_channel else 3.0)
    report, params = calibrated(host, lif(host, f, learnable=("alpha", "width")), X, k=k)
    x = by_loop()
    expected = k * (rms(x, (0, 1)) if per_channel else rms(x))
    assert_close(params["width"], expected, OPERATIONS, each=True)
    assert params["alpha"] == 2
    (layer,) = report.values()
    assert_close(layer.rms, rms(x), OPERATIONS, dtype=jnp.float32)
    assert_close(layer.rate, np.mean(x >= 0), 2, dtype=jnp.float32)
    assert layer.before == ([3.0] * F if per_channel else 3.0)
    np.testing.assert_array_equal(layer.width, np.asarray(params["width"], np.float64))
    assert report.sentences == ()
    assert json.loads(json.dumps(dataclasses.asdict(report)))["layers"]["LIF"]["rms"] == layer.rms


FIXED_IN_LINEN = (
    "LIF has a width that is fixed: train it, SpikingActivation(f.scaled(), learnable='width'), and freeze it by "
    "optax.set_to_zero()."
)


@pytest.mark.slow
def test_a_width_that_is_not_trained(host):
    """An array is set where a framework keeps it outside of the program; what is a part of the program is named."""
    for width in (jnp.ones(()), jnp.ones(F)):
        net = lif(host, bs.Arctan().scaled(width=width))
        report, _ = calibrated(host, net, X)
        if host.name == "linen":
            assert report["LIF"].width is None
            assert report.sentences == (FIXED_IN_LINEN,)
        else:
            assert_close(net.spike_fn.surrogate.width, rms(by_loop(), (0, 1) if width.ndim else None), OPERATIONS)
    fixed = "LIF has a width that is a fixed number: give it as an array, f.scaled("
    array = "" if host.name == "linen" else "width=jnp.ones(()))), or SpikingActivation(f.scaled("
    none = f"LIF has no width to set: give its ReluGrad one, SpikingActivation(f.scaled({array}), learnable='width')."
    for f, message in (
        (bs.Arctan().scaled(), FIXED_IN_LINEN if host.name == "linen" else fixed),
        (bs.ReluGrad(width=jnp.ones(())), none),
    ):
        report, _ = calibrated(host, lif(host, f), X)
        assert report["LIF"].width is None
        assert report.sentences[0].startswith(message)
    report, _ = calibrated(host, host.layers.LIF(F, spike_fn=lambda x: bs.arctan(x)), X)
    assert report.sentences == ("LIF has no width: its spike function is no surrogate.",)


@pytest.mark.parametrize("framework", ["plain", "nnx", "brainstate"])
def test_an_integer_array_becomes_a_float(framework):
    """A width of 0.6 would be 0 as an integer. In Linen only a trained width is set, which is a float at the start."""
    f, x = bs.Arctan(2.0).scaled(width=jnp.ones(2, int)), jnp.array([[-3.0, 4.0], [0.5, -0.5]])
    if framework == "plain":
        new, _ = bs.calibrate({"a": f}, lambda f: f["a"](x), k=0.3)
        width = new["a"].width
    else:
        layers = getattr(bs, framework)
        act = layers.SpikingActivation(f)
        layers.calibrate(act, (lambda act: act(x)) if framework == "nnx" else lambda: act(x), k=0.3)
        width = act.surrogate.width
    assert_close(width, 0.3 * rms(np.asarray(x), 0), 8, each=True)


def test_a_stacked_width_is_left_alone():
    """By scan or vmap a layer sees one entry of the axis on which they are stacked, which is not that of neurons."""

    class Block(linen.Module):
        @linen.compact
        def __call__(self, x, _):
            act = bs.linen.SpikingActivation(bs.Arctan().scaled(), learnable="width", name="act")
            return act(linen.Dense(F)(x)), None

    x, stack = jnp.ones((B, F)), {"variable_axes": {"params": 0}, "split_rngs": {"params": True}}
    for lift, inputs in ((linen.scan, x), (linen.vmap, jnp.ones((F, B, F)))):
        length = {"length": F} if lift is linen.scan else {"in_axes": (0, None)}
        net = lift(Block, **stack, **length)()
        variables = net.init(jax.random.key(0), inputs, None)
        new, report = bs.linen.calibrate(variables, lambda v, net=net, xs=inputs: net.apply(v, xs, None)[0])
        np.testing.assert_array_equal(new["params"]["act"]["width"], np.ones(F))
        assert report.sentences == (
            f"act keeps its width, which is stacked, by scan or vmap: its layers see the shape () of ({F},). Set it by "
            "hand, the entry of each layer.",
        )
    heads = nnx.vmap(lambda i: bs.nnx.SpikingActivation(bs.Arctan().scaled(), learnable="width"))(jnp.arange(F))
    for forward in (
        lambda heads: nnx.vmap(lambda act, x: act(x))(heads, jnp.ones((F, B, F))),
        lambda heads: nnx.scan(lambda x, act: act(x), in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)(2 * x, heads),
    ):
        (sentence,) = bs.nnx.calibrate(heads, forward).sentences
        assert "which is stacked, by scan or vmap" in sentence
        np.testing.assert_array_equal(heads.width[...], np.ones(F))


def test_a_width_that_its_dtype_cannot_hold_is_not_set():
    x = jnp.array([[-3.0, 4.0], [0.5, -0.5]])
    for scale, what in ((1e-6, "underflows"), (1e6, "overflows")):
        f = {"a": bs.Arctan().scaled(width=jnp.ones((), jnp.float16))}
        new, report = bs.calibrate(f, lambda f, scale=scale: f["a"](scale * x))
        assert new == f
        assert report.sentences == (f"a keeps its width, for one of {report['a'].rms:.3g} {what} float16.",)


def test_on_a_mesh():
    """A width keeps its sharding; where types say how values are split, a sentence says to calibrate elsewhere."""
    auto, explicit = (
        jax.make_mesh((2,), ("a",), axis_types=(kind,), devices=jax.devices()[:2])
        for kind in (AxisType.Auto, AxisType.Explicit)
    )
    act, xs = bs.nnx.SpikingActivation(bs.Arctan().scaled(width=jnp.ones(F)), learnable="width"), jnp.ones((4, F))
    sharding = NamedSharding(auto, P("a"))
    act.width.set_value(jax.device_put(act.width[...], sharding))
    bs.nnx.calibrate(act, lambda act: act(jax.device_put(2 * xs, NamedSharding(auto, P(None, "a")))))
    np.testing.assert_array_equal(act.width[...], np.full(F, 2.0))
    assert act.width[...].sharding == sharding

    fixed = {"a": bs.Arctan()}
    split = jax.device_put(xs, NamedSharding(explicit, P("a")))
    mapped = jax.shard_map(fixed["a"], mesh=auto, in_specs=P("a"), out_specs=P("a"))(xs)
    assert mapped.shape == xs.shape
    for forward in (
        lambda f: f["a"](split),
        lambda f: jax.shard_map(f["a"], mesh=auto, in_specs=P("a"), out_specs=P("a"))(xs),
    ):
        with pytest.raises(ValueError, match=r"calibrate can't add up values .* call it outside of the mesh"):
            bs.calibrate(fixed, forward)
        with pytest.raises(ValueError, match="diagnose can't add up values"):
            bs.diagnose(fixed, lambda f, forward=forward: forward(f).sum())


def test_random_spikes_have_no_width_to_set():
    act = bs.nnx.SpikingActivation(bs.Arctan(2.0), random=True, rngs=nnx.Rngs(0))
    report = bs.nnx.calibrate(act, lambda act: act(jnp.asarray(X, jnp.float32)))
    assert report.sentences[0].endswith("Give it another width by f.scaled(height=1 / w, width=w).")


def test_a_width_stays_in_its_interval(host):
    net = lif(host, bs.Arctan().scaled(), learnable="width", bounds={"width": (0.75, 1.0)})
    for k, width in ((0.1, 0.75), (10.0, 1.0)):
        report, params = calibrated(host, net, X, k=k)
        assert params["width"] == report["LIF"].width == width
        (sentence,) = report.sentences
        assert sentence == f"LIF: a width of {k * report['LIF'].rms:.3g} would fit, and is kept in [0.75, 1]."


def test_a_network_of_several_layers(host):
    """Each layer gets its own width, is called as in a diagnosis, and the frameworks agree."""
    layers = host.layers

    def act():
        return layers.SpikingActivation(bs.Arctan().scaled(), learnable="width")

    net = layers.SpikingSequential([layers.LIF(F, decay=0.5, spike_fn=act()), act(), layers.LI(F)])
    report, _ = calibrated(host, net, X)
    dot = "_" if host.name == "linen" else "."
    assert list(report) == [f"layers{dot}0", f"layers{dot}1"]
    x = by_loop()
    assert_close([layer.rms for layer in report.values()], [rms(x), rms(x >= 0)], OPERATIONS, dtype=jnp.float32)
    assert report[f"layers{dot}1"].rate == 1  # spikes are 0 or 1, at or above 0


@pytest.mark.parametrize("host", HOSTS, ids=label, indirect=True)  # each finds out by itself what is shared
@pytest.mark.parametrize("per_channel", [False, True])
def test_a_width_that_layers_share_fits_all_of_them(host, per_channel):
    """Whatever their order; each has its own rate and root mean square in the report."""
    f = bs.Arctan().scaled(width=np.ones(F, np.float32) if per_channel else 1.0)
    act = host.layers.SpikingActivation(f, learnable="width")
    net = host.layers.SpikingSequential([host.layers.LIF(F, decay=0.5, spike_fn=act) for _ in range(2)])
    report, params = calibrated(host, net, X, k=0.5)
    first, second = by_loop(), by_loop(by_loop() >= 0)
    expected = 0.5 * rms(np.stack([first, second]), (0, 1, 2) if per_channel else None)
    assert_close(params["width"], expected, 2 * OPERATIONS, each=True)
    (name, layer), (other, shares) = report.items()
    assert_close([layer.rms, shares.rms], [rms(first), rms(second)], OPERATIONS, each=True, dtype=jnp.float32)
    assert layer.width == shares.width
    assert report.sentences == (f"{other} shares its width with {name}.",)


def test_silent_layers_are_named_and_get_the_distance_to_threshold(host):
    net = lif(host, bs.Arctan().scaled(), learnable="width")
    report, params = calibrated(host, net, np.zeros_like(X), k=0.5)
    assert params["width"] == 0.5
    assert report.sentences[0].startswith("LIF is silent: no neuron fires, so its width fits the distance")


def test_no_new_width_compiles_anything(host):
    net, xs, traces = lif(host, bs.Arctan().scaled(), learnable="width"), jnp.asarray(X, jnp.float32), []

    def total(ys):
        traces.append(ys)
        return jnp.sum(ys)

    if host.name == "nnx":
        step = nnx.jit(nnx.grad(lambda net: total(net(jnp.zeros((B, F)), xs)[1])))
        for k in (1.0, 0.5):
            step(net)
            host.layers.calibrate(net, lambda net: net(jnp.zeros((B, F)), xs), k=k)
            step(net)
    elif host.name == "linen":
        variables, carry = {"params": host.params(net, xs)}, jnp.zeros((B, F))
        step = jax.jit(jax.grad(lambda variables: total(net.apply(variables, carry, xs)[1])))
        for k in (1.0, 0.5):
            step(variables)
            variables, _ = host.layers.calibrate(variables, lambda variables: net.apply(variables, carry, xs), k=k)
            step(variables)
    else:
        brainstate.nn.init_all_states(net, B)
        states = net.states(brainstate.ParamState)
        step = brainstate.transform.jit(brainstate.transform.grad(lambda: total(net(xs)), states))
        for k in (1.0, 0.5):
            step()
            host.layers.calibrate(net, lambda: net(xs), k=k)
            step()
    assert len(traces) == 1


def test_nothing_else_is_changed():
    xs = jnp.asarray(X, jnp.float32)
    act = bs.nnx.SpikingActivation(bs.Arctan().scaled(), learnable="width")
    rngs = nnx.Rngs(0)
    layers = [nnx.BatchNorm(F, rngs=rngs), nnx.Dropout(0.5, rngs=nnx.Rngs(1)), bs.nnx.LIF(F, spike_fn=act)]
    net = bs.nnx.SpikingSequential(layers)

    def others():
        """All variables but the width, keys as numbers."""
        leaves = jax.tree_util.tree_leaves_with_path(nnx.to_pure_dict(nnx.state(net)))
        numbers = {jax.tree_util.keystr(path): leaf for path, leaf in leaves}
        assert numbers.pop("['layers'][2]['spike_fn']['width']") is not None
        is_key = {name: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) for name, leaf in numbers.items()}
        return {name: np.array(jax.random.key_data(x) if is_key[name] else x) for name, x in numbers.items()}

    before = others()
    assert len(before) > 4
    bs.nnx.calibrate(net, lambda net: net(net.initialize_carry((B, F)), xs))
    assert act.width[...] != 1
    jax.tree.map(np.testing.assert_array_equal, others(), before)

    net = lif(HOSTS[2](), bs.Arctan().scaled(), learnable="width")
    brainstate.nn.init_all_states(net, B)
    bs.brainstate.calibrate(net, lambda: net(xs))
    np.testing.assert_array_equal(net.v.value, 0)
    assert net(xs).shape == xs.shape


def test_it_sees_through_jit_scan_vmap_remat_and_a_cache():
    f, x = {"a": bs.Arctan().scaled(width=jnp.ones(F))}, jnp.asarray(X, jnp.float32)
    expected = rms(X, (0, 1))
    ways = {
        "jit": lambda f: jax.jit(f)(x),
        "scan": lambda f: jax.lax.scan(lambda c, x: (c, f(x)), 0.0, x)[1],
        "vmap": lambda f: jax.vmap(jax.vmap(f))(x),
        "remat": lambda f: jax.checkpoint(f)(x),
    }
    for way in ways.values():
        new, report = bs.calibrate(f, lambda f, way=way: way(f["a"]))
        assert_close(new["a"].width, expected, OPERATIONS, each=True)
        assert new["a"].width.dtype == jnp.float32
        assert report["a"].width == np.asarray(new["a"].width, np.float64).tolist()
    run = jax.jit(lambda: f["a"](x))
    run()
    net = bs.nnx.LIF(F, decay=0.5, spike_fn=bs.nnx.SpikingActivation(f["a"]))
    jitted = nnx.jit(lambda net: net(jnp.zeros((B, F)), x)[1])
    jitted(net)
    report = bs.nnx.calibrate(net, jitted)
    assert_close(np.float32(report["LIF"].width), rms(by_loop(), (0, 1)), OPERATIONS)
    report = bs.calibrate({"a": bs.Arctan()}, lambda f: jax.vmap(f["a"], -1)(x))[1]  # with another axis last
    assert_close(report["a"].width, rms(X), OPERATIONS, dtype=jnp.float32)


def test_plain_functions_keep_their_types():
    x = jnp.asarray(X, jnp.float32)
    f = {"plain": bs.Arctan(2.0), "half": bs.Arctan().scaled(width=jnp.ones((), jnp.bfloat16)), "other": jnp.sign}
    f["uncalled"] = bs.Sigmoid().scaled(width=0.5)
    new, report = bs.calibrate(f, lambda f: [f[name](x) for name in ("plain", "half", "other")])
    assert new["plain"] == bs.Arctan(2.0).scaled(width=report["plain"].width)
    assert type(new["plain"].width) is float
    for width, kind in ((1, float), (np.float64(1), np.float64)):
        assert type(bs.calibrate({"a": bs.Arctan().scaled(width=width)}, lambda f: f["a"](x))[0]["a"].width) is kind
    assert new["half"].width.dtype == jnp.bfloat16
    assert new["other"] is jnp.sign
    assert new["uncalled"] == f["uncalled"]
    assert report.sentences == (
        "other has no width: its spike function is no surrogate.",
        "uncalled was not called.",
    )
    assert list(report) == ["plain", "half", "other"]
    assert len(report) == 3
    assert "plain" in str(report)


@pytest.mark.parametrize(
    ("x", "why"),
    [
        (jnp.zeros((2, F)), "its membrane is at threshold throughout, or too near to it to be squared"),
        (jnp.full((2, F), 1e-25), "its membrane is at threshold throughout, or too near to it to be squared"),
        (jnp.full((2, F), -jnp.inf), "no finite value was measured"),
        (jnp.full((2, F), 1e30), "its membrane is too large to be squared"),
    ],
)
def test_a_layer_with_nothing_to_go_by_keeps_its_width(x, why):
    f = {"a": bs.Arctan().scaled(width=0.5)}
    new, report = bs.calibrate(f, lambda f: f["a"](x))
    assert new == f
    assert report.sentences == (f"a keeps its width, for there is nothing to fit it to: {why}.",)


def test_a_layer_that_no_value_reached_has_no_numbers():
    f = {"a": bs.Arctan(), "empty": bs.Arctan()}
    _, report = bs.calibrate(f, lambda f: f["a"](jnp.ones(3)).sum() + f["empty"](jnp.ones((0, 3))).sum())
    assert str(report).splitlines()[2].split() == ["empty", "-", "-", "1", "1"]
    assert report.sentences == (
        "empty keeps its width, for there is nothing to fit it to: no finite value was measured.",
    )


def test_values_that_are_not_finite_are_left_out():
    x = jnp.asarray([[3.0, 4.0], [jnp.nan, -jnp.inf]])
    for width, expected in ((1.0, 12.5**0.5), (jnp.ones(2), [3.0, 4.0])):
        new, _ = bs.calibrate({"a": bs.Arctan().scaled(width=width)}, lambda f: f["a"](x))
        assert_close(new["a"].width, expected, 8, dtype=jnp.float32)
    # A neuron without a finite value, or always at threshold, gets the width of the layer.
    new, _ = bs.calibrate({"a": bs.Arctan().scaled(width=jnp.ones(2))}, lambda f: f["a"](x.at[0, 0].set(0.0)))
    assert_close(new["a"].width, [8**0.5, 4.0], 8)


def test_what_is_refused():
    f, x = {"a": bs.Arctan()}, jnp.ones(2)
    with pytest.raises(ValueError, match=r"no spiking layer was used\. calibrate sees .* forward must use what it is"):
        bs.calibrate(f, lambda f: x)
    for forward in (
        lambda f: [f["a"](x), None][1],
        lambda f: jax.lax.stop_gradient(f["a"](x)),
    ):
        with pytest.raises(ValueError, match="nothing was measured at a: give forward data that gets there"):
            bs.calibrate(f, forward)
    with pytest.raises(ValueError, match=r"no value reached a: expected a batch .* give forward data that reaches it"):
        bs.calibrate(f, lambda f: f["a"](x[:0]))
    with pytest.raises(ValueError, match="expected k to be a known number, got a traced one"):
        jax.jit(lambda k: bs.calibrate(f, lambda f: f["a"](x), k=k)[0])(1.0)
    with pytest.raises(ValueError, match="a is used by layers of 2 and 3 neurons"):
        bs.calibrate(f, lambda f: (f["a"](x), f["a"](jnp.ones(3))))
    for k in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="expected k to be above 0 and finite"):
            bs.calibrate(f, lambda f: f["a"](x), k=k)
    for k in ("1", None, True, np.ones(2)):
        with pytest.raises(TypeError, match="expected k to be a number"):
            bs.calibrate(f, lambda f: f["a"](x), k=k)
    with pytest.raises(TypeError, match=r"for a module there is calibrate of brainsurr\.nnx"):
        bs.calibrate(bs.nnx.LIF(2), lambda net: net)
    with pytest.raises(TypeError, match="expected forward to be a function"):
        bs.calibrate(f, 3)
    with pytest.raises(TypeError, match=r"expected spike_fns\['a'\] to be a surrogate or a function"):
        bs.calibrate({"a": 3}, lambda f: x)
    for inside in (
        lambda x: bs.calibrate(f, lambda f: f["a"](x))[0],
        lambda x: bs.diagnose(f, lambda f: f["a"](x).sum()),
    ):
        with pytest.raises(ValueError, match="reads numbers, which are not known inside of jit, grad or vmap"):
            jax.jit(inside)(x)
    for module in (bs.nnx, bs.brainstate):
        with pytest.raises(TypeError, match="expected net to be a"):
            module.calibrate(3, lambda: x)


def test_a_compact_module_and_a_frozen_tree():
    class Net(linen.Module):
        @linen.compact
        def __call__(self, xs):
            act = bs.linen.SpikingActivation(bs.Arctan().scaled(), learnable="width")
            xs = linen.RNN(bs.linen.LIFCell(F, decay=0.5, spike_fn=act, name="cell"), time_major=True)(xs)
            return bs.linen.SpikingActivation(bs.Arctan().scaled(), learnable="width", name="last")(xs)

    xs = jnp.asarray(X, jnp.float32)
    variables = linen.FrozenDict(Net().init(jax.random.key(0), xs))
    new, report = bs.linen.calibrate(variables, lambda variables: Net().apply(variables, xs))
    assert jax.tree.structure(new) == jax.tree.structure(variables)
    x = by_loop()
    assert_close(report["last"].width, rms(x >= 0), OPERATIONS, dtype=jnp.float32)
    (cell,) = [name for name in report if name != "last"]
    assert_close(report[cell].width, rms(x), OPERATIONS, dtype=jnp.float32)
