"""The table of operations: each names its parameters and their types, and gets only what fits them."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from guest_image.agent.errors import OpError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from guest_image.agent.call import Call

    Handler = Callable[..., Awaitable[Any]]

REQUIRED: Final = object()

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "list": (list,),
    "object": (dict,),
    "string or list of strings": (str, list),
}


class Param(NamedTuple):
    """One parameter: what it must be, and what it is when left out (REQUIRED: it may not be)."""

    kind: str
    default: Any = REQUIRED
    minimum: int | None = None
    maximum: int | None = None

    def check(self, op: str, name: str, value: Any) -> Any:
        """The value, if it fits. OpError "invalid" if not."""
        if value is None and self.default is None:
            return None
        fits = isinstance(value, _TYPES[self.kind]) and (self.kind == "boolean" or not isinstance(value, bool))
        if not fits:
            raise OpError("invalid", f"{op}: {name} is {value!r:.80}; it must be a {self.kind}")
        if isinstance(value, str) and "\0" in value:
            raise OpError("invalid", f"{op}: {name} has a zero byte in it")
        if self.kind == "string or list of strings" and isinstance(value, list):
            _check_strings(op, name, value)
        if self.minimum is not None and value < self.minimum:
            raise OpError("invalid", f"{op}: {name} is {value}; at least {self.minimum} is allowed")
        if self.maximum is not None and value > self.maximum:
            raise OpError("invalid", f"{op}: {name} is {value}; at most {self.maximum} is allowed")
        return value


def _check_strings(op: str, name: str, items: list[Any]) -> None:
    if not items or not all(isinstance(item, str) and "\0" not in item for item in items):
        raise OpError("invalid", f"{op}: {name} must be a list of at least one string, without zero bytes")


def string(default: Any = REQUIRED) -> Param:
    """A text parameter."""
    return Param("string", default)


def integer(default: Any = REQUIRED, minimum: int | None = None, maximum: int | None = None) -> Param:
    """A whole number, within bounds."""
    return Param("integer", default, minimum, maximum)


def boolean(default: Any = REQUIRED) -> Param:
    """True or false."""
    return Param("boolean", default)


def items(default: Any = REQUIRED) -> Param:
    """A list of anything."""
    return Param("list", default)


def mapping(default: Any = REQUIRED) -> Param:
    """A JSON object."""
    return Param("object", default)


def command_line(default: Any = REQUIRED) -> Param:
    """A shell line, or a list of arguments."""
    return Param("string or list of strings", default)


class Operation(NamedTuple):
    """One operation: its handler is called with the call and the checked parameters by name."""

    name: str
    handler: Handler
    params: dict[str, Param]

    def checked(self, given: dict[str, Any]) -> dict[str, Any]:
        """All parameters, with defaults. OpError "invalid" for unknown, missing or wrong ones."""
        unknown = [name for name in given if name not in self.params]
        if unknown:
            known = ", ".join(self.params) or "none"
            raise OpError("invalid", f"{self.name} has no parameter {unknown[0]!r:.80}", hint=f"it has: {known}")
        values = {}
        for name, param in self.params.items():
            if name in given:
                values[name] = param.check(self.name, name, given[name])
            elif param.default is REQUIRED:
                raise OpError("invalid", f"{self.name} needs the parameter {name} ({param.kind})")
            else:
                values[name] = param.default
        return values


OPERATIONS: dict[str, Operation] = {}


def op(name: str, /, **params: Param) -> Callable[[Handler], Handler]:
    """Put a handler `async def (call, *, ...)` into the table under `name`."""

    def register(handler: Handler) -> Handler:
        OPERATIONS[name] = Operation(name, handler, params)
        return handler

    return register


def lookup(name: str) -> Operation:
    """The operation of that name. OpError "unknown-op", with near names, if there is none."""
    found = OPERATIONS.get(name)
    if found is None:
        near = get_close_matches(name, OPERATIONS, 3)
        hint = f"did you mean {' or '.join(near)}?" if near else "this agent may be older than the server"
        raise OpError("unknown-op", f"no operation {name!r:.80}", hint=hint)
    return found


async def perform(call: Call, name: str, given: dict[str, Any]) -> Any:
    """Check the parameters and run the operation: its result, as JSON values."""
    operation = lookup(name)
    return await operation.handler(call, **operation.checked(given))
