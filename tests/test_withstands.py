"""The page of what the package withstands says what the result files say."""

from benchmarks.pages import withstands


def test_page_is_that_of_the_result_files():
    page = (withstands.ROOT / "docs/withstands.md").read_text()
    assert page == withstands.page(withstands.load()), "run `make evidence`"
