"""Combinations of settings: a few in `make test`, all in `make test-exhaustive`."""

from itertools import product

import pytest


def each_value_once(*axes):
    """Return all combinations; mark as exhaustive those not needed to cover each value once.

    The needed ones are all first values, all second values, and so on. Shorter axes repeat cyclically.
    """
    quick = {tuple(i % len(axis) for axis in axes) for i in range(max(map(len, axes)))}
    places = product(*(range(len(axis)) for axis in axes))
    return [_chosen(axes, place, () if place in quick else [pytest.mark.exhaustive]) for place in places]


def _chosen(axes, place, marks):
    """Return the values at a place, with the marks that they have and those given."""
    values = [axis[i] for axis, i in zip(axes, place, strict=True)]
    values = [value if isinstance(value, type(pytest.param())) else pytest.param(value) for value in values]
    marks = [*marks, *(mark for value in values for mark in value.marks)]
    return pytest.param(*(value.values[0] for value in values), marks=marks)


def first_quick(values):
    """Return the values; mark all but the first as slow: frameworks, or settings, that run the same code of ours."""
    first, *others = values
    return [first, *(_chosen([[value]], [0], [pytest.mark.slow]) for value in others)]


def label(value):
    """Return the id of a framework, a function, a dtype or options in a test; None leaves it to pytest."""
    return str(value) if isinstance(value, dict | list) else getattr(value, "name", getattr(value, "__name__", None))
