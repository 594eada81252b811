"""The lower bounds of pyproject.toml as pip constraints, for `make test-floor`."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
for requirement in [
    *project["dependencies"],
    *(r for name in ("flax", "brainstate", "plot", "train") for r in extras[name]),
]:
    if bound := re.fullmatch(r"([\w-]+)>=([\w.]+)", requirement):
        print("==".join(bound.groups()))
