"""The error for an optional dependency that is not installed."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def needs(extra: str) -> Iterator[None]:
    """Wrap the imports of an optional dependency: if it is missing, raise an error with the command that installs it.

    Only the error for a missing package changes. An installed package that fails to import raises its own error.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        message = f'{error}; to install it, run in a clone of brainsurr: pip install ".[{extra}]"'
        raise ModuleNotFoundError(message, name=error.name, path=error.path) from error
