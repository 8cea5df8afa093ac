"""Says which extra is missing where a vendor's package is not installed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from desktop_sandbox.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Turn a failing import of the extra's package into a ConfigurationError that names the extra."""
    try:
        yield
    except ImportError as error:
        raise ConfigurationError(
            f"the package {error.name or name} is needed, and not installed or too old",
            hint=f'pip install "desktop-sandbox[{name}]"',
        ) from error
