"""The page of what the package withstands says what the result files say."""

import pytest

from benchmarks.pages import withstands


@pytest.fixture(scope="module")
def trials():
    return withstands.load()


def test_page_is_that_of_the_result_files(trials):
    assert (withstands.ROOT / "docs/withstands.md").read_text() == withstands.page(trials), "run `make evidence`"
