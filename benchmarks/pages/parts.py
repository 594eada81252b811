"""What pages share: folders, and results by name."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results"
PICTURES = ROOT / "docs/pictures"


def result(name: str):
    """Read the result of a study by the name of its folder."""
    return json.loads((RESULTS / name / "result.json").read_text())
