"""Write the generated parts of README.md, and docs/performance.md, from the result files."""

import json
import re
from pathlib import Path

from . import digits, speed

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks/results"


def parts():
    """Each generated part by the name between its markers, ``<!-- name -->`` and ``<!-- /name -->``."""
    return {"digits": digits_part(), "speed": speed.part(RESULTS / "speed")}


def digits_part():
    """The table of `make train`, and the accuracies of the other frameworks."""
    result, *others = (json.loads(path.read_text()) for path in sorted(RESULTS.glob("digits*/result.json")))
    versions = result["versions"]
    lines = [
        f"{result['seconds']:.0f} s on {result['device']}; Python {result['python']}, jax {versions['jax']}, "
        f"flax {versions['flax']}. From the same weights, data order and noise, but Dropout masks of their own:"
    ]
    for other in others:
        accuracies = (f"{name} {a['mean']:.4f} ± {a['sd']:.4f}" for name, a in other["test_accuracy"].items())
        lines.append(f"- `--framework {other['framework']}`: {'; '.join(accuracies)} ({other['seconds']:.0f} s)")
    return f"{digits.report(result).strip()}\n\n{lines[0]}\n\n" + "\n".join(lines[1:])


def rendered(text):
    """The text with every generated part in its place."""
    for name, part in parts().items():
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not marked.search(text):
            raise ValueError(f"README.md has no <!-- {name} --> ... <!-- /{name} -->")
        text = marked.sub(lambda match, part=part: f"{match[1]}\n{part}\n\n{match[2]}", text)
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(rendered(readme.read_text()))
    (ROOT / "docs/performance.md").write_text(speed.page(RESULTS / "speed"))
