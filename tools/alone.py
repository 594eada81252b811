"""Run by tools/extras.py with the interpreter of each environment: what is there, loads, imports and works, as JSON.

Here nothing but brainsurr and what it brings can be imported: no pytest, and no module beside this one.
"""

import contextlib
import doctest
import importlib
import importlib.metadata
import io
import json
import pkgutil
import sys


def examples(module) -> dict[str, str]:
    """The reports of the module's examples that fail, by the name of what they are an example of."""
    failed = {}
    for test in doctest.DocTestFinder().find(module):
        runner, report = doctest.DocTestRunner(), io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()):
            runner.run(test, out=report.write)
        if runner.failures:
            failed[test.name] = report.getvalue()
    return failed


def main() -> None:
    """Look around, before anything but brainsurr is imported and then after."""
    brainsurr = importlib.import_module("brainsurr")
    loaded = {name.partition(".")[0] for name in sys.modules}
    owners = importlib.metadata.packages_distributions()
    found = {
        "installed": [distribution.name for distribution in importlib.metadata.distributions()],
        "loaded": [owner for name in loaded for owner in owners.get(name, [])],
        "imported": [],
        "refused": {},
        "failed": {},
    }
    submodules = pkgutil.walk_packages(brainsurr.__path__, "brainsurr.")
    for name in ["brainsurr", *(submodule.name for submodule in submodules)]:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            found["refused"][name] = str(error)
        else:
            found["imported"].append(name)
            found["failed"] |= examples(module)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
