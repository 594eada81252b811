"""What the README shows runs, prints what it says, and holds no number that was typed."""

import re
import subprocess

import braintools
import jax.numpy as jnp
import pytest
from pages import ROOT, blocks, run
from surrogate_table import EXPORTED

import brainsurr as bs
from brainsurr import nnx

README = ROOT / "README.md"


@pytest.mark.slow
def test_snippets(capsys, lenient):
    """They train, and print what is shown below them, up to the few images that another machine tells differently."""
    scope = run(*blocks(README))
    (shown,) = re.findall(r"```text\ntest accuracy (.*)\n```", README.read_text())
    printed = capsys.readouterr().out.removeprefix("test accuracy ")
    assert float(printed) == pytest.approx(float(shown), abs=0.015)
    assert float(shown) > 0.95
    assert scope["x_test"].shape == (450, 64)


def test_the_surrogates_of_each_library_are_counted():
    """Those of braintools by their names here, the others by the rows of the table of other libraries."""
    (row,) = re.findall(r"^\| surrogates +\|(.*)\|$", README.read_text(), re.MULTILINE)
    (head,) = re.findall(r"^\| +\| (brainsurr.*)\|$", README.read_text(), re.MULTILINE)
    counts = dict(zip(map(str.strip, head.split("|")), map(int, row.split("|")), strict=True))
    theirs = [name for name in EXPORTED if hasattr(braintools.surrogate, name)]
    expected = {"brainsurr": len(EXPORTED), "braintools": len(theirs)}
    for library in ("spyx", "jaxpike", "snnTorch", "SpikingJelly", "norse"):
        expected[library] = len(bs.equivalents(library))
    assert counts == expected


def test_batch_first_data_does_not_fit_a_carry_of_the_batch():
    net, batch_first = nnx.SpikingSequential([nnx.LIF(3)]), jnp.ones((4, 5, 3))
    shapes = re.findall(r"`net\.initialize_carry\((.*?)\)`", README.read_text())
    assert shapes == ["(batch, features)", "xs.shape[1:]"]
    carries = [net.initialize_carry(eval(shape, {"batch": 4, "features": 3, "xs": batch_first})) for shape in shapes]
    with pytest.raises(ValueError, match=r"expected a carry .* got \(4, 3\): a layer takes \[time, batch, features\]"):
        net(carries[0], batch_first)
    assert net(carries[1], batch_first)[1].shape == batch_first.shape


def test_every_make_target_exists():
    printed = subprocess.run(["make", "help"], cwd=README.parent, capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"^make ([\w-]+) ", printed, re.MULTILINE))
    shown = set(re.findall(r"(?:`|^)make ([\w-]+)", README.read_text(), re.MULTILINE))
    assert {"train", "test", "test-all", "docs", "bench", "evidence", "help"} <= shown <= targets
