"""a11y.tree, a11y.find, a11y.act: the accessibility tree, and what is done to its elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guest_image.agent.errors import OpError
from guest_image.agent.registry import boolean, integer, items, op, string

if TYPE_CHECKING:
    from guest_image.agent.call import Call

SCOPES = ("focused", "app", "all")
VERBS = ("look", "show", "focus", "set", "invoke")
_MAX_BYTES = 512 << 10
_MAX_TEXT = 100_000
_TIMEOUT = integer(10_000, 100, 60_000)
_WHERE = {"scope": string("focused"), "app": string(None), "hidden": boolean(False), "timeout_ms": _TIMEOUT}


@op(
    "a11y.tree",
    **_WHERE,
    max_depth=integer(60, 1, 200),
    max_nodes=integer(500, 1, 5000),
    max_bytes=integer(256 << 10, 1024, _MAX_BYTES),
)
async def a11y_tree(
    call: Call,
    *,
    scope: str,
    app: str | None,
    hidden: bool,
    timeout_ms: int,
    max_depth: int,
    max_nodes: int,
    max_bytes: int,
) -> dict[str, Any]:
    """{"window", "apps", "nodes", "truncated", "elapsed_ms"}: parents before their children, each with its depth.

    `truncated` says why there would be more: "deadline", "nodes", "depth", "bytes".
    """
    where = await _where(call, scope, app)
    bounds = {"max_depth": max_depth, "max_nodes": max_nodes, "max_bytes": max_bytes, "hidden": hidden}
    found = await call.agent.a11y.ask({"op": "tree", **where, **bounds}, timeout_ms / 1000)
    return {"window": where["focus"], **found}


@op(
    "a11y.find",
    **_WHERE,
    role=string(None),
    name=string(None),
    match=string("substring"),
    states=items([]),
    limit=integer(20, 1, 200),
)
async def a11y_find(
    call: Call,
    *,
    scope: str,
    app: str | None,
    hidden: bool,
    timeout_ms: int,
    role: str | None,
    name: str | None,
    match: str,
    states: list[Any],
    limit: int,
) -> dict[str, Any]:
    """{"window", "apps", "nodes", "total", "truncated", "elapsed_ms"}. OpError "not-found": what is there instead."""
    if not all(isinstance(state, str) for state in states):
        raise OpError("invalid", "states must be a list of strings")
    where = await _where(call, scope, app)
    wish = {"role": role, "name": name, "match": match, "states": states, "limit": limit, "hidden": hidden}
    bounds = {"max_depth": 200, "max_nodes": 0, "max_bytes": _MAX_BYTES}
    found = await call.agent.a11y.ask({"op": "find", **where, **wish, **bounds}, timeout_ms / 1000)
    return {"window": where["focus"], **found}


@op("a11y.act", id=string(), verb=string("look"), text=string(None), name=string(None), timeout_ms=_TIMEOUT)
async def a11y_act(
    call: Call, *, id: str, verb: str, text: str | None, name: str | None, timeout_ms: int
) -> dict[str, Any]:
    """{"node", "pid", "done", "elapsed_ms"}: the element, after `verb` was done to it.

    `text` is what "set" sets, `name` the action of "invoke" (null: the first). `done` false: the field takes text from
    the keyboard only, and has the focus now. OpError "not-found" if the element is gone.
    """
    if verb not in VERBS:
        raise OpError("invalid", f"verb is {verb!r:.40}", hint=", ".join(VERBS))
    if text is not None and len(text) > _MAX_TEXT:
        raise OpError("invalid", f"a text of {len(text)} characters", hint=f"at most {_MAX_TEXT}")
    wish = {"op": "act", "id": id, "verb": verb, "text": text, "name": name}
    return await call.agent.a11y.ask(wish, timeout_ms / 1000)


async def _where(call: Call, scope: str, app: str | None) -> dict[str, Any]:
    """Scope, app and the window with the focus, as the reader wants them."""
    if scope not in SCOPES:
        raise OpError("invalid", f"scope is {scope!r:.40}", hint=", ".join(SCOPES))
    if (scope == "app") != (app is not None):
        raise OpError("invalid", 'app goes with the scope "app", and with no other')
    focus = None
    if scope == "focused":

        def work(display: Any) -> dict[str, Any] | None:
            from guest_image.agent.x.windows import active_window

            window = active_window(display)
            return None if window is None else window.to_wire()

        focus = await call.agent.viewer.call(work, call.agent.config.x_timeout_s)
    return {"scope": scope, "app": app, "focus": focus}
