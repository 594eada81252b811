"""What importing a framework module says when its framework is not installed."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def needs(extra: str) -> Iterator[None]:
    """Around the imports of an optional dependency: a missing one is reported with the line that installs it.

    Only a missing package is caught. One that is installed and fails to import shows its own error.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == __package__:  # ours, which no extra brings
            raise
        message = f'{error}; install it with: pip install "brainsurr[{extra}]"'
        raise ModuleNotFoundError(message, name=error.name, path=error.path) from error
