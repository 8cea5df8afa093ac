"""Takes the parameters out of a model's call, and says what is wrong with them in the vendor's own names. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TypeVar

from actions.dialects.view import Place, View
from actions.errors import ActionValueError
from actions.keysyms import character_keysym
from actions.model import MAX_TEXT

T = TypeVar("T", bound=str)
Specs = Mapping[str, Sequence[str]]


class Fields:
    """The parameters of one call. `spec` names them all, with "?" behind those that may be left out (or null)."""

    def __init__(self, action: str, given: Mapping[str, object], spec: Sequence[str]) -> None:
        known = [name.rstrip("?") for name in spec]
        self.action = action
        self._given = {name: value for name, value in given.items() if value is not None}
        for name in given:
            if name not in known:
                raise ActionValueError(
                    f"{action} has no parameter {name!r}",
                    hint=f"{near(name, known)}{action} takes: {', '.join(known) or 'nothing'}",
                    field=str(name),
                )
        for name in spec:
            if not name.endswith("?") and name not in self._given:
                raise ActionValueError(f"{action} needs {name}", hint=f"{action} takes: {', '.join(spec)}", field=name)

    def __contains__(self, name: str) -> bool:
        return name in self._given

    def whole(self, name: str, low: int, high: int, default: int = 0) -> int:
        """A whole number from `low` to `high`; 3.0 is one, 3.5, "3" and true are not."""
        return whole(self._given.get(name, default), low, high, name)

    def seconds_ms(self, name: str, default_s: float = 0, *, most_s: int = 300) -> int:
        """Seconds, fractions too, as milliseconds."""
        value = self._given.get(name, default_s)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most_s:
            raise ActionValueError(f"{name} cannot be {shown(value)}", hint=f"seconds, 0 to {most_s}", field=name)
        return round(value * 1000)

    def flag(self, name: str, *, default: bool) -> bool:
        """True or false."""
        value = self._given.get(name, default)
        if not isinstance(value, bool):
            raise ActionValueError(f"{name} cannot be {shown(value)}", hint="true or false", field=name)
        return value

    def text(self, name: str, default: str = "", *, longest: int = MAX_TEXT) -> str:
        """Text of at most `longest` characters."""
        value = self._given.get(name, default)
        if not isinstance(value, str):
            raise ActionValueError(f"{name} cannot be {shown(value)}", hint="it is a text", field=name)
        if len(value) > longest:
            raise ActionValueError(
                f"{name} has {len(value)} characters", hint=f"at most {longest}; send it in parts", field=name
            )
        return value

    def typed(self, name: str) -> str:
        """Text that can be typed."""
        text = self.text(name)
        for place, char in enumerate(text):
            try:
                character_keysym(char)
            except ActionValueError as error:
                raise error.at(None, f"{name}[{place}]") from None
        return text

    def choice(self, name: str, options: Sequence[T], default: str = "") -> T:
        """One of `options`."""
        value = self._given.get(name, default)
        for option in options:
            if option == value:
                return option
        meant = near(value, options) if isinstance(value, str) else ""
        raise ActionValueError(
            f"{name} cannot be {shown(value)}", hint=f"{meant}one of: {', '.join(options)}", field=name
        )

    def items(self, name: str, low: int, high: int) -> list[object]:
        """A list of `low` to `high` items; an empty one if it was left out."""
        value = self._given.get(name, [])
        if not isinstance(value, list | tuple):
            raise ActionValueError(f"{name} cannot be {shown(value)}", hint="it is a list", field=name)
        if name in self._given and not low <= len(value) <= high:
            raise ActionValueError(f"{name} has {len(value)} items", hint=f"{low} to {high}", field=name)
        return list(value)

    def place(self, view: View, x: str = "x", y: str = "y") -> Place:
        """The place on the screen that two parameters mean."""
        return place([self._given.get(x), self._given.get(y)], view, f"{x}, {y}")

    def pair(self, name: str, view: View) -> Place:
        """The place on the screen that one parameter [x, y] means."""
        return place(self._given.get(name), view, name)

    def pair_or_none(self, name: str, view: View) -> tuple[int, int] | tuple[None, None]:
        """As `pair`; nothing where it was left out: act where the pointer is."""
        return self.pair(name, view) if name in self else (None, None)


def spec_of(action: object, specs: Specs, what: str = "action") -> Sequence[str]:
    """The parameters of an action; ActionValueError with those there are."""
    spec = specs.get(action) if isinstance(action, str) else None
    if spec is None:
        meant = near(action, [*specs]) if isinstance(action, str) else ""
        raise ActionValueError(
            f"unknown {what} {shown(action)}", hint=f"{meant}{what}s: {', '.join(specs)}", field=what
        )
    return spec


def mapping(value: object, what: str) -> Mapping[str, object]:
    """An object with names; ActionValueError if it is none."""
    if not isinstance(value, Mapping):
        raise ActionValueError(f"{what} is an object, not {shown(value)}", field=what)
    return value


def whole(value: object, low: int, high: int, name: str) -> int:
    """A whole number within bounds."""
    number = int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value
    if isinstance(number, bool) or not isinstance(number, int):
        raise ActionValueError(f"{name} cannot be {shown(value)}", hint="it is a whole number", field=name)
    if not low <= number <= high:
        raise ActionValueError(f"{name} cannot be {number}", hint=f"{low} to {high}", field=name)
    return number


def place(value: object, view: View, name: str) -> Place:
    """The place on the screen that [x, y] means."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ActionValueError(f"{name} cannot be {shown(value)}", hint="it is [x, y]", field=name)
    x, y = (whole(part, -(2**31), 2**31, name) for part in value)
    view.check(x, y, name)
    return view.to_screen(x, y)


def near(name: str, known: Sequence[str]) -> str:
    """ "did you mean …? ", or nothing."""
    found = difflib.get_close_matches(str(name)[:80].lower(), known, n=2, cutoff=0.6)
    return f"did you mean {' or '.join(found)}? " if found else ""


def shown(value: object) -> str:
    """A value as an error shows it."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
