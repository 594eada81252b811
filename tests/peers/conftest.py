"""Tests with other libraries: `make test-peers`, in an environment of its own. A normal run does not see them."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path, config):
    """Importing one of these files imports its library, so they are not even collected unless asked for."""
    return True if "not peers" in config.option.markexpr else None


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("peers")
            item.add_marker(pytest.mark.filterwarnings("ignore"))  # the libraries are not clean under "error"


@pytest.fixture(autouse=True)
def _lenient(lenient):
    """Nor are they clean under strict promotion."""
