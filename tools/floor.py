"""Print the lower bounds of all requirements of the extra `test` as pip constraints, for `make test-floor`."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]


def bounds(requirements: list[str]) -> Iterator[str]:
    """Yield the constraints that pin requirements to their lower bounds, including those of extras among them."""
    for requirement in requirements:
        if own := re.fullmatch(r"brainsurr\[([\w,]+)\]", requirement):
            for extra in own[1].split(","):
                yield from bounds(PROJECT["optional-dependencies"][extra])
        elif bound := re.fullmatch(r"([\w-]+)>=([\w.]+)", requirement):
            yield f"{bound[1]}=={bound[2]}"
        else:
            raise SystemExit(f"expected name>=version, which can be tested, in pyproject.toml; got {requirement!r}")


if __name__ == "__main__":
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
    print(*sorted(set(bounds(wanted))), sep="\n")
