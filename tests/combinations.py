"""Combinations of settings: a few of them in `make test`, all in `make test-exhaustive`."""

from itertools import product

import pytest


def each_value_once(*axes):
    """Every combination, marked exhaustive where the others have each value already.

    Quick are that of all first values, that of all second ones, and so on; a short axis begins anew.
    """
    quick = {tuple(i % len(axis) for axis in axes) for i in range(max(map(len, axes)))}
    places = product(*(range(len(axis)) for axis in axes))
    return [_chosen(axes, place, () if place in quick else [pytest.mark.exhaustive]) for place in places]


def _chosen(axes, place, marks):
    """The values at a place, some of which have marks of their own."""
    values = [axis[i] for axis, i in zip(axes, place, strict=True)]
    values = [value if isinstance(value, type(pytest.param())) else pytest.param(value) for value in values]
    marks = [*marks, *(mark for value in values for mark in value.marks)]
    return pytest.param(*(value.values[0] for value in values), marks=marks)


def label(value):
    """A framework, a function, a dtype or options in the id of a test; None leaves it to pytest."""
    return str(value) if isinstance(value, dict | list) else getattr(value, "name", getattr(value, "__name__", None))
