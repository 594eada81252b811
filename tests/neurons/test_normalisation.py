"""What docs/normalisation.md shows runs; its norms are their formulas, and those of SpikingJelly and snnTorch."""

import importlib
import re
from functools import partial

import brainstate
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import each_value_once, with_library
from close import assert_close, bound, distances
from flax import nnx
from pages import DOCS, blocks, cells, run

import brainsurr as bs
import brainsurr.brainstate
from benchmarks.lib import blocks as of_blocks
from brainsurr.nnx import LIF, SpikingSequential, unroll

PAGE = DOCS / "normalisation.md"
COMMON, NORM, IN_BLOCKS, LINEN, BRAINSTATE, MASKED, IN_LINEN, IN_RESIDUALS, PAPERS, ALONE, REFUSED, GROUPS, FILE = (
    blocks(PAGE)
)
CLASSES, SHOWN = PAPERS.split("\n\n\nbntt_net = ")
EPS, MOMENTUM, STEPS, CHANNELS, SUM = 1e-5, 0.9, 5, 3, 8 * 30  # of values over time and batch
pytestmark = pytest.mark.usefixtures("lenient")  # flax's Linear, brainstate's Linear


def moved(old, new, momentum=MOMENTUM):
    return momentum * old + (1 - momentum) * new


def moments(ys, axes=(0, 1)):
    return ys.mean(axes, keepdims=True), ys.var(axes, keepdims=True)


def normalised(ys, mean, var):
    return (ys - mean) / np.sqrt(var + EPS)


def currents(scope):
    return np.asarray(scope["first"](scope["xs"]), float)


def statistics(norm):
    return norm.mean[...], norm.var[...]


def after(*blocks, held=(0.0, 1.0), momentum=MOMENTUM):
    """The statistics of a norm, at first those held, that sees blocks of values ``[..., channels]`` in turn."""
    mean, var = (np.asarray(value, float) for value in held)
    for block in blocks:
        values = block.reshape(-1, block.shape[-1])
        mean, var = moved(mean, values.mean(0), momentum), moved(var, values.var(0), momentum)
    return mean, var


@pytest.mark.slow
def test_blocks_have_their_own_statistics():
    scope = run(COMMON, NORM)
    net, carry, xs, norm, ys = *(scope[name] for name in ("net", "carry", "xs", "norm")), currents(scope)
    assert_close(statistics(norm), after(ys), SUM)  # over time and batch
    parts = np.split(ys, 3)
    expected = after(*parts, held=statistics(norm))
    with distances() as near:
        run(IN_BLOCKS, **scope)
        assert_close(statistics(norm), expected, 3 * SUM)
        in_blocks, whole = unroll(net, carry, xs, block_size=10)[1], net(carry, xs)[1]
    assert min(near) > bound(200, 2)
    assert_close(in_blocks, whole, 200)
    net.train()
    nnx.grad(lambda net: unroll(net, carry, xs, block_size=10, remat="full")[1].sum())(net)  # where none moves it twice
    assert_close(statistics(norm), after(*parts, held=expected), 6 * SUM)
    trained = SpikingSequential(net.layers[:2])
    in_blocks, whole = unroll(trained, (None, None), xs, block_size=10)[1], trained((None, None), xs)[1]
    assert_close(in_blocks, np.concatenate([normalised(part, *moments(part)) for part in parts]), SUM)
    assert np.abs(in_blocks - whole).max() > 0.1


@pytest.mark.slow
def test_in_linen_and_brainstate():
    scope = run(COMMON, LINEN, BRAINSTATE)
    kernel = np.asarray(scope["variables"]["params"]["layers_0"]["kernel"], float)
    stats = scope["changed"]["batch_stats"]["layers_1"]
    dense, norm = scope["layers"][0], scope["batch_norm"]
    for ys, held in (
        (np.asarray(scope["xs"], float) @ kernel, (stats["mean"], stats["var"])),
        (np.asarray(dense(scope["xs"]), float), (norm.running_mean.value[0], norm.running_var.value[0])),
    ):
        assert_close(held, after(ys), SUM)
    assert (scope["linen_spikes"].shape, scope["two"].shape) == ((30, 8, 32), (30, 2, 32))
    assert scope["linen_spikes"].any()
    same = scope["linen_in_blocks"] == scope["linen_spikes"]
    assert same.mean() > 0.99  # a sum of another order is rounded another way
    assert scope["two"].any()


@pytest.mark.slow
def test_padded_steps_do_not_count():
    scope = run(COMMON, MASKED)
    net, start, xs, mask = (scope[name] for name in ("masked", "start", "xs", "mask"))
    norm, ys, kept = net.norm, np.asarray(net.first(xs), float), np.asarray(mask)
    values = np.concatenate([ys[:length, i] for i, length in enumerate([30, 12, 25, 8, 30, 17, 21, 9])])
    mean, var = values.mean(0), values.var(0)
    assert_close(statistics(norm), after(values, momentum=0.99), SUM)
    given = jnp.asarray(ys, jnp.float32), mask[..., None]
    assert_close(norm(given[0], mask=given[1])[kept], normalised(ys[kept], mean, var), SUM)
    theirs = brainstate.nn.BatchNorm1d((8, 32))
    with brainstate.environ.context(fit=True):
        assert_close(theirs(*given)[kept], normalised(ys[kept], mean, var), SUM)

    parts = [block[of] for block, of in zip(np.split(ys, 3), np.split(kept, 3), strict=True)]
    expected = after(*parts, held=statistics(norm), momentum=0.99)
    unroll(net, start, (xs, mask), block_size=10)
    assert_close(statistics(norm), expected, 3 * SUM)
    assert len(bs.nnx.diagnose(net, lambda net: jnp.sum(net(start, (xs, mask))[1]))) == 1
    with pytest.raises(ValueError, match=r"expected a batch with values, got lengths \[0, 0\]: leave it out"):
        scope["mask_of"]([0, 0], 3)

    last = unroll(net, start, (xs, mask & (jnp.arange(30) < 20)[:, None]), block_size=10)[1][-10:]  # it has none
    assert np.isnan(last).all()
    assert np.isnan(statistics(norm)).all()


@pytest.mark.slow
def test_padded_steps_do_not_count_in_linen():
    scope = run(COMMON, LINEN, MASKED, IN_LINEN)
    held = scope["changed"]["batch_stats"]["BatchNorm_0"]
    ys = np.asarray(scope["xs"], float) @ np.asarray(scope["variables"]["params"]["Dense_0"]["kernel"], float)
    assert_close((held["mean"], held["var"]), after(ys[np.asarray(scope["mask"])]), SUM)


@pytest.mark.slow
def test_padded_steps_do_not_count_in_residual_blocks():
    """In training: outputs and statistics are those without padding."""
    with_mask = run(COMMON, IN_RESIDUALS, Residual=of_blocks.Residual)["with_mask"]
    nets = [SpikingSequential([of_blocks.spike_block(1, 8, LIF, nnx.Rngs(0), 2)]) for _ in range(2)]
    xs = np.random.default_rng(0).normal(1, 1, (15, 3, 8, 8, 1)).astype(np.float32)
    mask, carry = jnp.arange(15)[:, None] < jnp.full(3, 6), nets[0].initialize_carry((3, 8, 8, 1))
    alone, padded = nets[0](carry, xs[:6])[1], with_mask(nets[1], mask)(carry, xs)[1]
    assert np.mean(padded[:6] != alone) < 0.01  # of which rounding may decide; without the mask it is a sixth or more
    assert alone.any()
    held, expected = (nnx.state(net, nnx.BatchStat) for net in reversed(nets))
    assert_close(held, expected, 15 * 3 * 64)


@pytest.mark.slow
def test_the_others_take_each_step_of_each_example_alone(capsys):
    """Where they normalise, the mean square is 1."""
    scope = run(COMMON, ALONE, REFUSED, GROUPS)
    (said,) = re.findall(r"print\(error\)  # (.*) \.\.\.\n", REFUSED)
    assert capsys.readouterr().out.startswith(said)
    (line,) = re.findall(r"`(jax\.vmap\(brainstate.*)`", PAGE.read_text())
    groups, mapped = scope["groups"], eval(line, {"jax": jax, "brainstate": brainstate})
    flat, images = (jnp.asarray(drawn((6, 2, *space, 32), 0)) for space in ((), (2, 3)))
    tried = [(norm, xs, (-1,)) for norm in scope["of_features"] for xs in (flat, images)]
    tried += [(norm, images, (-4, -3, -1)) for norm in (*scope["of_images"], groups)]
    tried += [(norm, flat, (-1,)) for norm in (brainstate.nn.LayerNorm((32,)), brainstate.nn.RMSNorm((32,)))]
    for norm, xs, axes in [*tried, (groups, flat, (-1,)), (mapped, flat, (-1,))]:
        of_nnx = isinstance(norm, nnx.Module)
        ys = SpikingSequential([norm])((None,), xs)[1] if of_nnx else bs.brainstate.SpikingSequential([norm])(xs)
        grouped = np.asarray(ys, float).reshape(*ys.shape[:-1], 4 if norm in (groups, mapped) else 1, -1)
        np.testing.assert_allclose(np.mean(grouped**2, axes), 1, atol=1e-3)
        assert axes == (-1,) or np.std(np.mean(grouped**2, -1)) > 0.01  # not that of each pixel
        assert_close(norm(xs[2:3, 1:2]), ys[2:3, 1:2], 64)


# The norms of papers -------------------------------------------------------------------------------------------------

SIZES = {"1d": (STEPS, 4, CHANNELS), "2d": (STEPS, 4, 2, 3, CHANNELS)}
VALUES = {"n": CHANNELS, "T": STEPS, "alpha": 0.75, "v_th": 0.5}
(TABLE,) = re.findall(r"\| here, with .*?\n\n", PAGE.read_text(), re.DOTALL)
(_, *LIBRARIES), _, *ROWS = cells(TABLE.strip())
HERE = [row[0].strip("`") for row in ROWS]


def of_paper(code):
    """A norm of the page, as its table calls it, and what it holds."""
    how, scope = {"momentum": MOMENTUM}, run(COMMON, CLASSES)
    names = {name: partial(scope[name], **how, rngs=nnx.Rngs(0)) for name in ("tdbn", "TEBN")}
    layer = eval(code, VALUES | names | {"BNTT": partial(scope["BNTT"], **how)})
    norm, rng = getattr(layer, "norm", layer), np.random.default_rng(1)
    held = {"scale": norm.scale, "bias": getattr(norm, "bias", None), "factor": getattr(layer, "factor", None)}
    held = {name: value for name, value in held.items() if value is not None}
    for name, value in held.items():
        if (code.partition("(")[0], name) != ("tdbn", "scale"):
            value[...] += jnp.asarray(rng.uniform(-0.5, 1.0, value.shape), jnp.float32)
    return layer, norm, {name: np.asarray(value[...], float) for name, value in held.items()}


def outputs(layer, xs, step=0):
    return layer(jnp.int32(step), xs)[1] if hasattr(layer, "initialize_carry") else layer(xs)


def drawn(size, seed):
    return np.random.default_rng(seed).normal(0.5, 2.0, size).astype(np.float32)


def spread(value, ndim, axis):
    """Axes of 1 between the first ones and the channels."""
    return value.reshape(*value.shape[:axis], *[1] * (ndim - value.ndim), *value.shape[axis:])


@pytest.mark.parametrize(("code", "size"), each_value_once(HERE, [*SIZES]))
def test_a_norm_is_the_formula_of_its_paper(code, size):
    layer, norm, held = of_paper(code)
    each, ndim = code.startswith("BNTT"), len(SIZES[size])
    axes = tuple(range(each, ndim - 1))
    scale = spread(held["scale"], ndim, int(each))
    if code.startswith("tdbn"):
        np.testing.assert_array_equal(held["scale"], VALUES["alpha"] * VALUES["v_th"])

    def scaled(ys):
        return (ys * scale + held.get("bias", 0.0)) * spread(held.get("factor", np.ones(STEPS)), ndim, 1)

    mean, var = 0.0, 1.0
    for seed in range(2):
        xs = drawn(SIZES[size], seed)
        of_batch = moments(xs.astype(float), axes)
        assert_close(outputs(layer, jnp.asarray(xs)), scaled(normalised(xs, *of_batch)), 200)
        mean, var = moved(mean, of_batch[0]), moved(var, of_batch[1])
    assert_close(statistics(norm), (mean.reshape(norm.mean.shape), var.reshape(norm.var.shape)), 200)
    layer.eval()
    assert_close(outputs(layer, jnp.asarray(xs)), scaled(normalised(xs, mean, var)), 200)


@pytest.mark.slow
def test_each_step_has_its_own_in_blocks_too():
    """And beyond the last one there is NaN."""
    (tebn, *_), (bntt, *_), (other, *_) = (of_paper(HERE[i]) for i in (1, 2, 2))
    xs = jnp.asarray(drawn(SIZES["1d"], 0))
    step, in_blocks = unroll(bntt, bntt.initialize_carry((4, CHANNELS)), xs, block_size=2, remat="full")
    assert int(step) == STEPS
    assert_close(in_blocks, outputs(other, xs), 50)
    assert_close(statistics(bntt), statistics(other), 50)
    np.testing.assert_array_equal(outputs(other, xs[:, :1]), 0 * xs[:, :1])
    for layer in (tebn, bntt):
        layer.eval()
        stream = [layer(jnp.int32(t), xs[t : t + 1])[1] for t in range(STEPS)]
        assert_close(np.concatenate(stream), outputs(layer, xs), 50)
        assert np.isnan(layer(jnp.int32(STEPS), xs[:1])[1]).all()
    assert 0.02 < run(COMMON, NORM, PAPERS)["spikes"].mean() < 0.9


THEIRS = {
    f"{library.split()[0].lower()}.{code}": (row[0].strip("`"), code)
    for row in ROWS
    for library, cell in zip(LIBRARIES, row[1:], strict=True)
    for first in re.findall(r"`(\w+1d\(.*?\))`", cell)
    for code in (first, first.replace("1d(", "2d("))
}


@with_library(THEIRS)
def test_a_norm_is_that_of_the_library(key):
    (here, code), library = THEIRS[key], key.partition(".")[0]
    module = pytest.importorskip({"spikingjelly": "spikingjelly.activation_based.layer"}.get(library, library))
    torch, size, calls = importlib.import_module("torch"), SIZES["2d" if "2d(" in code else "1d"], 3
    (layer, norm, held), theirs = of_paper(here), eval(code, vars(module) | VALUES)
    steps = library == "snntorch"  # a norm for each, to be called by itself
    norms = list(theirs) if steps else list(getattr(theirs, "bn_list", [theirs]))
    for t, one in enumerate(norms):
        for name, of in {"weight": "scale", "bias": "bias", "scale": "factor"}.items():
            if getattr(one, name, None) is not None:
                value = held[of] if len(norms) == 1 else held[of][t]
                getattr(one, name).data = torch.tensor(value, dtype=torch.float32)

    def channels_first(xs):
        return torch.tensor(np.moveaxis(xs, -1, 2).copy())

    def channels_last(xs):
        return np.moveaxis(xs.detach().numpy(), 2, -1)

    def there(xs):
        ys = torch.stack([one(x) for one, x in zip(norms, xs, strict=True)]) if steps else theirs(xs)
        if hasattr(theirs, "bn_list"):
            theirs.reset()
        return ys

    def weighted(layer, xs):
        ys = outputs(layer, xs)
        return jnp.sum(weight * ys), ys

    weight = drawn(size, 9)
    for seed in range(calls):
        xs = drawn(size, seed)
        x = channels_first(xs).requires_grad_()
        ys = there(x)
        (ys * channels_first(weight)).sum().backward()
        gradient, ours = nnx.grad(weighted, argnums=1, has_aux=True)(layer, jnp.asarray(xs))
        assert_close((ours, gradient), (channels_last(ys), channels_last(x.grad)), 200)
    mean, var = (np.stack([getattr(one, f"running_{of}") for one in norms]) for of in ("mean", "var"))
    mean, var = (value.reshape(norm.mean.shape) for value in (mean, var))
    n, left = np.prod(size[:-1]) // len(norms), MOMENTUM**calls  # what is left of the 1 that var began with
    assert_close((norm.mean[...], (norm.var[...] - left) * (n / (n - 1))), (mean, var - left), 200)
    assert np.abs(norm.var[...] - var).max() > 1e-3
    norm.mean[...], norm.var[...] = jnp.asarray(mean), jnp.asarray(var)
    layer.eval()
    theirs.eval()
    assert_close(outputs(layer, jnp.asarray(xs)), channels_last(there(channels_first(xs))), 200)


@pytest.mark.slow
def test_a_file_holds_the_network():
    scope = run(COMMON, NORM, FILE)
    net, again, few = scope["net"], scope["again"], scope["xs"][:10, :2]
    with distances() as near:
        ys = [each(each.initialize_carry((2, 16)), few)[1] for each in (net, again)]
    assert min(near) > bound(200, 2)
    assert_close(*ys, 200)
    assert [type(layer).__name__ for layer in again.layers] == ["Linear", "LIF", "Linear", "LI"]
