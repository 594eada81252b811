"""The pages of docs/hosts: those of Flax and brainstate run here, the others in `make test-peers`."""

import re
import tomllib
from pathlib import Path

import jax
import pytest
from pages import HOSTS, run_page

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.usefixtures("lenient")  # brainstate's Linear


@pytest.mark.parametrize("host", ["nnx", "linen", "brainstate"])
def test_page(host):
    scope = run_page(host)
    assert scope["ys"].shape == (20, 8, 2)
    assert scope["spikes"].shape == (20, 8, 4)
    assert set(jax.numpy.unique(scope["spikes"]).tolist()) == {0.0, 1.0}


def test_the_tables_name_every_page_and_every_peer():
    text = (HOSTS / "README.md").read_text()
    pages = {page.name for page in HOSTS.glob("*.md")} - {"README.md"}
    assert set(re.findall(r"\]\(([\w.]+\.md)\)", text)) == pages
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["peers"]
    peers = {re.match(r"[\w-]+", line)[0] for line in extra} - {"brainsurr"}
    assert set(re.findall(r"PyPI `([\w-]+)`", text)) == peers
    assert {path.stem.removeprefix("test_") for path in (ROOT / "tests" / "peers").glob("test_*.py")} == peers


def test_every_local_link_of_a_page_exists():
    for page in HOSTS.glob("*.md"):
        for link in re.findall(r"\]\(([\w./-]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
