"""The page of what the package withstands says what the result files say."""

import pytest

from benchmarks import withstands


@pytest.fixture(scope="module")
def several():
    return withstands.load()


def test_page_is_that_of_the_result_files(several):
    assert (withstands.ROOT / "docs/withstands.md").read_text() == withstands.page(several), "run `make evidence`"


@pytest.mark.parametrize("name", withstands.TRIALS)
def test_every_result_file_carries_every_field(several, name):
    fields = {"settings", "seconds", "python", "versions", "device", "commit", "uncommitted_changes"}
    assert fields <= set(several[name])
    assert {"jax", "jaxlib", "flax", "optax", "numpy"} <= set(several[name]["versions"])
