"""How a test asks for a library that the test extra leaves out."""

import os

import pytest

INSTALLED = ("jaxpike", "brainpy")  # of the libraries in the table of other libraries


def needs(library):
    """A library; where it is missing the test is skipped at home and fails in CI."""
    return __import__(library) if os.environ.get("CI") == "true" else pytest.importorskip(library)


def with_library(keys):
    """Run a test for each ``library.name`` with that library, in every run if it is installed, else among the peers."""
    params = [pytest.param(key, marks=() if key.startswith(INSTALLED) else pytest.mark.peers) for key in keys]

    def decorate(test):
        for mark in (pytest.mark.usefixtures("lenient"), pytest.mark.filterwarnings("ignore")):  # they are not clean
            test = mark(test)
        return pytest.mark.parametrize("key", params)(test)

    return decorate
