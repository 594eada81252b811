"""The page of what the package withstands says what the result files say."""

import pytest

from benchmarks.lib.study import plain
from benchmarks.pages import withstands
from benchmarks.robustness import kills, precision, scale, soak


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


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("scale", scale.SETTINGS),
        ("kills", kills.settings(14)),
        ("precision", precision.settings(precision.EPOCHS, precision.SEEDS)),
        ("soak", soak.settings(30)),
        ("soak-without-checkpoints", soak.settings(6)),
    ],
)
def test_what_was_measured_is_what_the_code_would_measure(several, name, settings):
    assert plain(settings) == {field: several[name]["settings"][field] for field in settings}
