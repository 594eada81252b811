"""What pages share: folders, where a study ran, and generated parts of a page that is written by hand."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from ..lib.study import environment_of

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results"
PICTURES = ROOT / "docs/pictures/evidence"


def result(name: str):
    """Read the result of a study by the name of its folder."""
    return json.loads((RESULTS / name / "result.json").read_text())


def provenance(result) -> str:
    """Write how long a study took, and where, for each machine and version that its configurations ran on."""
    places = {}
    for key, run in result["runs"].items():
        here = environment_of(result, key)
        where = f"on {here['device']} beside other work; Python {here['python']}, jax {here['versions']['jax']}"
        places.setdefault(where, {})[key] = run
    texts = []
    for where, runs in places.items():
        seconds, cpu = (sum(run[key] for run in runs.values()) for key in ("seconds", "cpu_seconds"))
        which = f"{', '.join(dict.fromkeys(key.partition(', ')[0] for key in runs))}: " if texts else ""
        texts.append(f"{which}{seconds / 60:.0f} minutes, {cpu / 60:.0f} of processor time, {where}")
    return ". ".join(texts)


def filled(text: str, parts: Mapping[str, str], page: str) -> str:
    """Replace the parts of a text, by the name in their markers, ``<!-- name -->`` and ``<!-- /name -->``.

    Raises:
      ValueError: the text, that of ``page``, lacks the markers of a part.
    """
    for name, part in parts.items():
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not marked.search(text):
            raise ValueError(f"{page} has no <!-- {name} --> ... <!-- /{name} -->")
        text = marked.sub(lambda match, part=part: f"{match[1]}\n{part}\n\n{match[2]}", text)
    return text
