"""Limits of fields, as annotations that need no library: pydantic asks them for its schema on the host,
and the guest, which has no pydantic, imports them for nothing but their names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


def _whole(value: object) -> object:
    """JSON knows one kind of number: 3.0 is 3. Anything else is left for the schema to refuse."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def _listed(value: object) -> object:
    """Accept lists where tuples are kept."""
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `ge` to `le`; no booleans, no strings, no fractions."""

    ge: int
    le: int

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> dict[str, Any]:
        number = {"type": "int", "strict": True, "ge": self.ge, "le": self.le}
        return {
            "type": "function-before",
            "function": {"type": "no-info", "function": _whole},
            "schema": number,
        }


@dataclass(frozen=True, slots=True)
class Fraction:
    """A number above 0 and up to `le`."""

    le: float

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> dict[str, Any]:
        return {"type": "float", "strict": True, "gt": 0.0, "le": self.le, "allow_inf_nan": False}


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false, and nothing that merely looks like it."""

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> dict[str, Any]:
        return {"type": "bool", "strict": True}


@dataclass(frozen=True, slots=True)
class Chars:
    """Text of at most `max_length` code points."""

    max_length: int
    min_length: int = 0

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> dict[str, Any]:
        return {"type": "str", "strict": True, "min_length": self.min_length, "max_length": self.max_length}


@dataclass(frozen=True, slots=True)
class Items:
    """A list of `min_length` to `max_length` items, kept as a tuple."""

    min_length: int
    max_length: int

    def __get_pydantic_core_schema__(self, source: object, handler: Callable[[Any], Any]) -> dict[str, Any]:
        schema = dict(handler(source))
        schema.update(min_length=self.min_length, max_length=self.max_length)
        return {
            "type": "function-before",
            "function": {"type": "no-info", "function": _listed},
            "schema": schema,
        }
