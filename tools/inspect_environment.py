"""Print as JSON the installed packages of an environment, and which modules of brainsurr import and run their examples.

`tools/extras.py` runs this file with the interpreter of each environment. So it imports only the standard library,
brainsurr and its requirements, not pytest or another module of this folder.
"""

import contextlib
import doctest
import importlib
import importlib.metadata
import io
import json
import pkgutil
import sys


def main() -> None:
    """Import brainsurr, list the loaded modules, then import its submodules and run their examples."""
    brainsurr = importlib.import_module("brainsurr")
    loaded = {name.partition(".")[0] for name in sys.modules}
    owners = importlib.metadata.packages_distributions()
    report = {
        "installed": [distribution.name for distribution in importlib.metadata.distributions()],
        "loaded": [owner for name in loaded for owner in owners.get(name, [])],
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
            with contextlib.redirect_stdout(io.StringIO()) as output:
                failed = doctest.testmod(module).failed
            report["failed"] |= {name: output.getvalue()} if failed else {}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
