"""Compare the surrogates with each other and with networks that don't spike, on one data set.

Every entrant has a grid: a surrogate's parameter, the learning rate of a network that does not spike, the penalty of
logistic regression. The best point is chosen by short runs on validation examples; then it is trained in full, from
more seeds, and tested.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from sklearn.linear_model import LogisticRegression

import brainsurr as bs

from ..lib.study import Study
from ..lib.training import map_grid, train_network
from . import sequences
from .grid import members

RATE = 6e-3
OTHERS = {"GRU": sequences.gru, "MLP": sequences.mlp}
LOGISTIC = "logistic regression"

Rows = Mapping[str, Any]  # the indices of examples for "train", "validation" and "test"


class Task(NamedTuple):
    """A data set, and how networks are trained on it.

    Attributes:
      inputs: ``[examples, time, features]``.
      labels: ``[examples]``.
      recipe: of the training in full.
      short: how many epochs choose a grid point.
      lif: makes the spiking network.
      standardise: whether features are scaled to mean 0 and deviation 1.
    """

    inputs: np.ndarray
    labels: np.ndarray
    recipe: sequences.Recipe
    short: int
    lif: Callable = sequences.lif
    standardise: bool = True


class Point(NamedTuple):
    """A point of a grid; for logistic regression the rate is the inverse of the penalty, scikit-learn's C."""

    surrogate: bs.Surrogate | None
    rate: float = RATE

    def __str__(self):
        return repr(self.surrogate) if self.surrogate else f"{self.rate:g}"


class Grids(NamedTuple):
    """The surrogates, the learning rates of networks that don't spike, and the penalties of logistic regression."""

    surrogates: dict[str, list[bs.Surrogate]]
    rates: tuple[float, ...] = (2e-3, 6e-3, 1.8e-2)
    strengths: tuple[float, ...] = (1e-3, 1e-2, 1e-1)

    def points(self) -> dict[str, list[Point]]:
        """Return the grid of each entrant."""
        spiking = {name: list(map(Point, surrogates)) for name, surrogates in self.surrogates.items()}
        others = {name: [Point(None, rate) for rate in self.rates] for name in OTHERS}
        regressions = {LOGISTIC: [Point(None, strength) for strength in self.strengths]} if self.strengths else {}
        return spiking | others | regressions

    def size(self) -> int:
        """Return how many configurations a comparison has."""
        return sum(1 + (len(points) > 1) for points in self.points().values()) + 1


def grids(quick: bool = False) -> Grids:
    """Return all grids, or for ``quick`` two alphas of LogTailedRelu and one SuperSpike."""
    if not quick:
        return Grids(members())
    few = members(quick=True)
    few = {"InvSquareGrad": few["InvSquareGrad"][:1], "LogTailedRelu": few["LogTailedRelu"]}
    return Grids(few, rates=(RATE,), strengths=(1e-2,))


def try_points(task: Task, name: str, points: list[Point], splits: list[Rows], seeds, epochs: int) -> dict[str, Any]:
    """Train at each point, and test on every part of each split but ``train``: ``[points, splits, seeds]``."""
    outcome = (
        logistic_points(task, points, splits)
        if name == LOGISTIC
        else train_points(task, name, points, splits, seeds, epochs)
    )
    return {"points": list(map(str, points)), **outcome}


def train_points(task: Task, name: str, points: list[Point], splits: list[Rows], seeds, epochs: int):
    """Train networks: accuracies, the number of weights, the last loss and the firing rate of each layer."""
    recipe = task.recipe._replace(epochs=epochs)
    make, logits = OTHERS.get(name, task.lif), sequences.logits(recipe)
    shape = task.inputs.shape[1:]

    def train_one(point, rows, seed, inputs, labels):
        keys = jax.random.split(jax.random.key(seed))
        net = make(keys[0], shape, recipe, point.surrogate)
        xs = sequences.standardised(inputs, rows["train"]) if task.standardise else inputs
        rows = dict(rows)
        train = rows.pop("train")
        batch = min(recipe.batch, len(train))
        optimizer = sequences.optimizer(recipe, point.rate, epochs * (len(train) // batch))
        net, losses = train_network(
            net, logits, keys[1], xs[train], labels[train], epochs=epochs, batch=batch, optimizer=optimizer
        )
        held_out = jnp.concatenate(list(rows.values()))
        ys, rate = sequences.logits_and_rates(net, xs[held_out])
        ends = np.cumsum(list(map(len, rows.values())))[:-1]
        right = jnp.split(ys.argmax(-1) == labels[held_out], ends)
        accuracies = {part: answers.mean() for part, answers in zip(rows, right, strict=True)}
        return {**accuracies, "loss": losses[-1]} | ({"rate": rate} if len(rate) else {})

    def weights(key):
        return nnx.split(make(key, shape, recipe, points[0].surrogate), nnx.Param, ...)[1]

    size = sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(weights, jax.random.key(0))))
    data = (jnp.asarray(task.inputs), jnp.asarray(task.labels, jnp.int32))
    return {"weights": size, **map_grid(train_one, points, splits, jnp.asarray(seeds), data=data)}


def settings(task: Task, split: Rows, seeds: int) -> dict[str, Any]:
    """Return the settings that every comparison writes."""
    return {
        "split": {part: len(rows) for part, rows in split.items()},
        "recipe": task.recipe._asdict(),
        "short_epochs": task.short,
        "choosing_seeds": [1000],
        "seeds": list(range(seeds)),
    }


def compare(study: Study, task: Task, grids: Grids, held_out: list[Rows], split: Rows, choosing, seeds):
    """Choose every entrant's point on ``held_out`` splits, train it on ``split`` and test it; return the points.

    LogTailedRelu is tested at every alpha as well.
    """
    best, epochs = {}, task.recipe.epochs
    for name, points in grids.points().items():
        if len(points) > 1:
            grid = record(study, f"{name}, grid", task, name, points, held_out, choosing, task.short)
            points = [points[int(np.mean(grid["validation"], axis=(1, 2)).argmax())]]
        record(study, f"{name}, best", task, name, points, [split], seeds, epochs)
        best[name] = points[0]
    alphas = grids.points()["LogTailedRelu"]
    record(study, "LogTailedRelu, every alpha", task, "LogTailedRelu", alphas, [split], seeds, epochs)
    return best


def record(study: Study, key: str, task: Task, name: str, points: list[Point], *how) -> dict[str, Any]:
    """Record `try_points` as an entry of the study's file."""
    return study.record(key, partial(try_points, task, name, points, *how), points=list(map(str, points)))


def logistic_points(task: Task, points: list[Point], splits: list[Rows]):
    """Fit logistic regression to all time steps at once; it has no seed."""

    def scores(point, rows):
        xs = np.asarray(sequences.standardised(task.inputs, rows["train"]) if task.standardise else task.inputs)
        xs = xs.reshape(len(xs), -1)
        model = LogisticRegression(C=point.rate, max_iter=1000, tol=1e-3)
        model.fit(xs[rows["train"]], task.labels[rows["train"]])
        return {part: [model.score(xs[at], task.labels[at])] for part, at in rows.items() if part != "train"}

    outcomes = [[scores(point, rows) for rows in splits] for point in points]
    return {part: [[outcome[part] for outcome in row] for row in outcomes] for part in outcomes[0][0]}
