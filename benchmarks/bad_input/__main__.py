"""Bad input, as `fuzzing` says."""

import sys

from .fuzzing import main

if __name__ == "__main__":
    sys.exit(main())
