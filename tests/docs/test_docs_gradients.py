"""What docs/gradients.md shows runs, and prints what it says."""

import contextlib
import io
import re

import numpy as np
import pytest
from pages import DOCS

PAGE = (DOCS / "gradients.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```\n+```text\n(.*?)```", PAGE, re.DOTALL)
pytestmark = pytest.mark.usefixtures("lenient")  # optax.adam, nnx.Linear


@pytest.mark.slow
def test_the_page():
    assert len(BLOCKS) == PAGE.count("```python") == 5
    scope: dict = {}
    for code, shown in BLOCKS:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(code, "docs/gradients.md", "exec"), scope)
        printed, shown = (re.sub(r"\de[-+]\d\d", "", text).split() for text in (out.getvalue(), shown))  # of rounding
        assert len(printed) == len(shown)
        loose = {"atol": 0.1} if "accuracy" in shown else {"rtol": 1e-3}
        for one, other in zip(printed, shown, strict=True):
            if re.fullmatch(r"-?\d+\.\d+,?", other):
                np.testing.assert_allclose(*(float(text.strip(",")) for text in (one, other)), **loose)
            else:
                assert one == other
    assert scope["report"].fine
    assert {parameter.status for parameter in scope["wrong"].values()} == {"fine", "differs"}
    assert {parameter.status for parameter in scope["detached"].values()} == {"fine", "reset"}


def test_every_status_is_explained():
    from brainsurr import ParameterGradient

    named = set(re.findall(r"``\"([\w ]+)\"``", ParameterGradient.__doc__))
    assert named == set(re.findall(r"^\| `([\w ]+)` +\|", PAGE, re.MULTILINE))
