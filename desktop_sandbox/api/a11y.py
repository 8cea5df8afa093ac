"""Routes: elements of apps (the accessibility tree), and windows."""

from collections.abc import Awaitable, Sequence
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Query, Request
from starlette.responses import PlainTextResponse, Response

from desktop_sandbox.api import a11y_models as shapes
from desktop_sandbox.api.answer import Answer
from desktop_sandbox.api.keys import request_key
from desktop_sandbox.api.services import answer_json, json_response, services
from desktop_sandbox.elements import Element, ElementTree
from desktop_sandbox.node.facts import ClickSpec, ElementQuery, TreeSpec, WindowChange
from desktop_sandbox.problem import plain

router = APIRouter(prefix="/v1/sandboxes/{sandbox_id}", tags=["desktop"])

App = Annotated[str | None, Query(min_length=1, max_length=200, description="A part of an app's name, or its pid.")]
Scope = Annotated[shapes.ScopeKind, Query(description="The window with the focus, or all apps.")]
Hidden = Annotated[bool, Query(description="Also what cannot be seen: closed menus, what is scrolled away.")]
Timeout = Annotated[float, Query(ge=0.1, le=60, description="Seconds; what is read by then is the answer.")]
_LOOKS = ("look", "show")
_OUTLINE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The elements, as JSON or as an outline.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    },
}


@router.get("/tree", operation_id="read_tree", response_model=shapes.Tree, responses=_OUTLINE)
async def tree(
    request: Request,
    sandbox_id: str,
    scope: Scope = "focused",
    app: App = None,
    hidden: Hidden = False,
    depth: Annotated[int, Query(ge=1, le=200)] = 60,
    nodes: Annotated[int, Query(ge=1, le=5000, description="At most so many elements.")] = 500,
    size: Annotated[int, Query(ge=1024, le=524_288, description="At most so many bytes.")] = 262_144,
    timeout: Timeout = 10,
    format: Annotated[str, Query(pattern="^(json|text)$", description="text: an outline for models.")] = "json",
) -> Response:
    """Read what apps tell of themselves: the elements of the focused window, of one app, or of all."""
    spec = TreeSpec(scope, app, hidden, depth, nodes, size, timeout)
    found = await services(request).node.tree(sandbox_id, spec)
    if format == "text":
        return PlainTextResponse(found.text, headers={"Cache-Control": "no-store"})
    return json_response(tree_json(found))


@router.get("/elements", operation_id="find_elements", response_model=shapes.Tree)
async def find(
    request: Request,
    sandbox_id: str,
    role: Annotated[str | None, Query(min_length=1, max_length=60, examples=["button"])] = None,
    name: Annotated[str | None, Query(min_length=1, max_length=200, examples=["OK"])] = None,
    match: shapes.MatchKind = "substring",
    state: Annotated[Sequence[str], Query(max_length=20, description="All of them; -focused: not focused.")] = (),
    scope: Scope = "focused",
    app: App = None,
    hidden: Hidden = False,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
    timeout: Timeout = 10,
) -> Response:
    """Find elements by role, name and state; if there are none, the problem says what there is instead."""
    query = ElementQuery(role, name, match, tuple(state), limit)
    spec = TreeSpec(scope, app, hidden, timeout_s=timeout)
    return json_response(tree_json(await services(request).node.find_elements(sandbox_id, query, spec)))


@router.post("/elements", operation_id="do_element", response_model=shapes.ElementDone)
async def do_element(request: Request, sandbox_id: str, body: shapes.DoElement) -> Response:
    """Click, focus, set, invoke or show an element."""
    the = services(request)
    batch_id = request_key(request) or str(uuid4())

    async def doing() -> dict[str, Any]:
        place: tuple[int, int] | None = None
        if body.do == "click":
            click = ClickSpec(body.button, body.count, tuple(body.modifiers))
            element, place = await the.node.click_element(sandbox_id, body.id, click, batch_id=batch_id)
        elif body.do == "set":
            element = await the.node.set_element(sandbox_id, body.id, body.value or "", batch_id=batch_id)
        else:
            element = await the.node.element(sandbox_id, body.id, body.do, body.action)
        x, y = place or (None, None)
        return {"element": element_json(element), "x": x, "y": y}

    async def work() -> Answer:
        if body.do in _LOOKS:
            return answer_json(await doing())
        return answer_json(await the.views.as_agent(sandbox_id, doing, body.wait_for_control))

    return await the.once.run(request, work, repeatable=body.do in _LOOKS)


@router.post("/windows", operation_id="change_window", response_model=shapes.WindowDone)
async def change_window(request: Request, sandbox_id: str, body: shapes.ChangeWindow) -> Response:
    """Activate, close, minimise, maximise, restore, move or resize a window, and wait until it is so."""
    the = services(request)
    change = WindowChange(body.window, body.do, body.x, body.y, body.width, body.height, body.timeout)

    async def work() -> Answer:
        def changing() -> Awaitable[dict[str, Any]]:
            return the.node.change_window(sandbox_id, change)

        done = await the.views.as_agent(sandbox_id, changing, body.wait_for_control)
        window = done["window"]
        windows = [window_json(each) for each in await the.node.windows(sandbox_id)]
        now = None if window is None else window_json(window)
        return answer_json({"done": done["done"], "window": now, "windows": windows})

    return await the.once.run(request, work, repeatable=False)


@router.post("/launch/window", operation_id="launch_window", response_model=shapes.LaunchedWindow)
async def launch_window(request: Request, sandbox_id: str, body: shapes.LaunchWindow) -> Response:
    """Start an app and wait for its window; it runs on by itself."""
    the = services(request)

    async def work() -> Answer:
        def launching() -> Awaitable[tuple[int, dict[str, Any]]]:
            return the.node.launch_window(sandbox_id, body.app, body.uri, body.timeout)

        pid, window = await the.views.as_agent(sandbox_id, launching, body.wait_for_control)
        return answer_json({"pid": pid, "window": window_json(window)})

    return await the.once.run(request, work, repeatable=False)


def window_json(window: dict[str, Any]) -> Any:
    """A window as the API shows it; ids are text."""
    return plain({**window, "id": str(window["id"])})


def element_json(element: Element) -> dict[str, Any]:
    """An element as the API shows it."""
    bounds = None if element.bounds is None else dict(zip(("x", "y", "width", "height"), element.bounds, strict=True))
    facts = {**vars(element), "states": list(element.states), "actions": list(element.actions), "bounds": bounds}
    return {name: plain(value) for name, value in facts.items()}


def tree_json(found: ElementTree) -> dict[str, Any]:
    """A tree as the API shows it."""
    return {
        "window": plain(found.window),
        "apps": [{"name": plain(app.name), "pid": app.pid, "error": plain(app.error)} for app in found.apps],
        "elements": [element_json(element) for element in found.elements],
        "total": found.total,
        "truncated": list(found.truncated),
        "elapsed_ms": found.elapsed_ms,
    }
