"""The error for an optional dependency that is not installed."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def needs(extra: str) -> Iterator[None]:
    """Wrap the imports of an optional dependency: if it is missing, raise an error with the command that installs it.

    Only the error of a missing package is changed. An installed one that fails to import shows its own error.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        message = f'{error}; install it, in a clone of brainsurr: pip install ".[{extra}]"'
        raise ModuleNotFoundError(message, name=error.name, path=error.path) from error
