"""How a test asks for a library that the test extra leaves out."""

import os

import pytest


def needs(library):
    """A library; where it is missing the test is skipped at home and fails in CI."""
    return __import__(library) if os.environ.get("CI") == "true" else pytest.importorskip(library)
