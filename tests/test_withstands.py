"""The page of what the package withstands says what the result files say."""

import numpy as np
import pytest

from benchmarks.pages import withstands


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


def test_what_was_measured_is_what_the_settings_say(several):
    """Each file against its own settings, never against what the code would measure today."""
    scale, kills, precision = (several[name] for name in ("scale", "kills", "precision"))
    for run in scale["runs"]:
        assert np.shape(run["losses"]) == (len(scale["settings"]["seeds"]), scale["settings"]["train_steps"])
    assert {run["kills"] for run in kills["frameworks"].values()} == {kills["settings"]["kills"]}
    for run in precision["runs"].values():
        assert np.shape(run["loss"]) == (precision["settings"]["seeds"], precision["settings"]["epochs"])
    for name in ("soak", "soak-without-checkpoints"):
        settings, measured = several[name]["settings"], several[name]["measured"]
        assert measured["seconds"][-1] >= 60 * settings["minutes"]
        assert len(measured["loss"]) >= 2 * len(settings["frameworks"]) * len(settings["shapes"])
