"""Print as JSON what an environment has installed, and which modules of brainsurr import and have working examples.

`tools/extras.py` runs this with the interpreter of each environment, where only the standard library, brainsurr and its
requirements can be imported: neither pytest nor another module of this folder. Arguments are modules whose examples are
not to run.
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
    """Run the examples of a module; return the reports of those that fail, by the name of the documented object."""
    failed = {}
    for test in doctest.DocTestFinder().find(module):
        runner, output = doctest.DocTestRunner(), io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()):
            runner.run(test, out=output.write)
        if runner.failures:
            failed[test.name] = output.getvalue()
    return failed


def main() -> None:
    """Import brainsurr, list the loaded modules, then import its submodules and run their examples."""
    brainsurr = importlib.import_module("brainsurr")
    loaded = {name.partition(".")[0] for name in sys.modules}
    owners = importlib.metadata.packages_distributions()
    report = {
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
            report["refused"][name] = str(error)
        else:
            report["imported"].append(name)
            report["failed"] |= {} if name in sys.argv[1:] else examples(module)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
