"""``python -m docs.reader site``."""

import sys
from pathlib import Path

from . import main

sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "site")))
