"""Reads what callers send as actions, and says exactly what is wrong with it. Host only: it needs pydantic."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from dataclasses import fields
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from actions import model
from actions.errors import ActionValueError
from actions.keysyms import character_keysym, resolve_key, split_combination
from actions.model import ACTION_TYPES, MAX_BATCH, Action, Drag, Hold, Key, KeyDown, KeyUp, Screenshot, Type

__all__ = ["ActionValueError", "action_schema", "check_on_screen", "parse_action", "parse_actions"]

for _cls in ACTION_TYPES.values():
    _cls.__pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[union-attr]

ACTION_ADAPTER: TypeAdapter[Action] = TypeAdapter(Annotated[Action, Field(discriminator="type")])

Wish = dict[str, Any] | Action


def action_schema() -> dict[str, Any]:
    """JSON Schema of one action, for OpenAPI and tool descriptions."""
    return ACTION_ADAPTER.json_schema(ref_template="#/components/schemas/{model}")


def parse_actions(data: Sequence[Wish]) -> list[Action]:
    """A batch of 1 to 1000 actions, as dicts or Action values.

    Raises ActionValueError with the index of the first bad one.
    """
    if isinstance(data, (str, bytes, dict)) or not isinstance(data, Sequence):
        raise ActionValueError(
            f"a batch is a list of actions, not {type(data).__name__}", hint='[{"type": "click", …}]'
        )
    if not 1 <= len(data) <= MAX_BATCH:
        raise ActionValueError(
            f"a batch of {len(data)} actions", hint=f"1 to {MAX_BATCH} actions; send several batches"
        )
    return [parse_action(item, index) for index, item in enumerate(data)]


def parse_action(item: Wish, index: int | None = None) -> Action:
    """One action from a dict or an Action value, checked in full. Raises ActionValueError (with `index`)."""
    data: Any = item if isinstance(item, dict) or not dataclasses.is_dataclass(item) else model.to_wire(item)
    _check_kind(data, index)
    data = _with_keys_split(data)
    try:
        action = ACTION_ADAPTER.validate_python(data)
    except ValidationError as error:
        raise _explain(error.errors(include_url=False)[0], data, index) from None
    try:
        _check_meaning(action)
    except ActionValueError as error:
        raise error.at(index) from None
    return action


def check_on_screen(actions: Sequence[Action], width: int, height: int) -> None:
    """Refuse coordinates outside a screen of width × height pixels; (0, 0) and the last pixel are on it."""
    for index, action in enumerate(actions):
        for field, x, y in _points(action):
            if not (0 <= x < width and 0 <= y < height):
                raise ActionValueError(
                    f"({x}, {y}) is outside the screen",
                    hint=f"the screen is {width}×{height}: x is 0 to {width - 1}, y is 0 to {height - 1}",
                    index=index,
                    field=field,
                )


def _points(action: Action) -> list[tuple[str, int, int]]:
    if isinstance(action, Drag):
        return [(f"path[{number}]", x, y) for number, (x, y) in enumerate(action.path)]
    if isinstance(action, Screenshot) and action.region is not None:
        x, y, width, height = action.region
        return [("region", x, y), ("region", x + width - 1, y + height - 1)]
    here = getattr(action, "x", None), getattr(action, "y", None)
    return [] if here[0] is None or here[1] is None else [("x, y", here[0], here[1])]


def _check_kind(data: Any, index: int | None) -> None:
    if not isinstance(data, dict):
        raise ActionValueError(
            f"an action is an object with a type, not {_shown(data)}",
            hint='{"type": "click", "x": 1, "y": 2}',
            index=index,
        )
    kind = data.get("type")
    if not (isinstance(kind, str) and kind in ACTION_TYPES):
        near = difflib.get_close_matches(str(kind), ACTION_TYPES, n=2, cutoff=0.5)
        meant = f"did you mean {' or '.join(near)}? " if near else ""
        what = "an action without a type" if "type" not in data else f"unknown action type {_shown(kind)}"
        raise ActionValueError(what, hint=f"{meant}types: {', '.join(ACTION_TYPES)}", index=index, field="type")


def _with_keys_split(data: dict[str, Any]) -> dict[str, Any]:
    """Let `keys` and `modifiers` be one string such as "ctrl+s"."""
    written = {name: data[name] for name in ("keys", "modifiers") if isinstance(data.get(name), str)}
    return {**data, **{name: split_combination(text) for name, text in written.items()}} if written else data


def _check_meaning(action: Action) -> None:
    if isinstance(action, (KeyDown, KeyUp)):
        _check_keys("key", (action.key,))
    if isinstance(action, (Key, Hold)):
        _check_keys("keys", action.keys)
    _check_keys("modifiers", getattr(action, "modifiers", ()))
    if isinstance(action, Type):
        for place, char in enumerate(action.text):
            try:
                character_keysym(char)
            except ActionValueError as error:
                raise error.at(None, f"text[{place}]") from None


def _check_keys(field: str, names: tuple[str, ...]) -> None:
    for name in names:
        try:
            resolve_key(name)
        except ActionValueError as error:
            raise error.at(None, field) from None


def _explain(error: ErrorDetails, data: dict[str, Any], index: int | None) -> ActionValueError:
    kind = data["type"]
    place = [part for part in error["loc"] if part != kind or part in data]
    place = place[1:] if place and place[0] == kind and error["loc"][0] == kind else place
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".") or None
    value, code = error["input"], error["type"]
    names = [f.name for f in fields(ACTION_TYPES[kind]) if f.name != "type"]
    if code == "unexpected_keyword_argument":
        near = difflib.get_close_matches(str(field), names, n=1, cutoff=0.5)
        meant = f"did you mean {near[0]}? " if near else ""
        return ActionValueError(
            f"{kind} has no field {field!r}",
            hint=f"{meant}{kind} takes: {', '.join(names) or 'nothing'}",
            index=index,
            field=field,
        )
    if code in ("missing", "missing_argument"):
        return ActionValueError(
            f"{kind} needs {field}", hint=f"{kind} takes: {', '.join(names)}", index=index, field=field
        )
    if code == "string_unicode":
        hint = "send whole code points: a JSON string escapes emoji as a pair, high half first"
        return ActionValueError(
            f"{field} holds half a character (a lone surrogate)", hint=hint, index=index, field=field
        )
    if code == "value_error":
        return ActionValueError(error["msg"].removeprefix("Value error, "), index=index, field=field)
    return ActionValueError(f"{field} cannot be {_shown(value)}", hint=error["msg"], index=index, field=field)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
