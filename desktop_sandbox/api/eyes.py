"""Routes: wait for what the screen shows, compare it, find pictures and text on it, number what is there."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from desktop_sandbox.api import eyes_models as models
from desktop_sandbox.api.looking import Eyes, brought, cut, framed, watch_of, while_there
from desktop_sandbox.api.pictures import picture_json, spec_of
from desktop_sandbox.api.services import json_response, services
from desktop_sandbox.errors import DeadlineError, InvalidRequestError
from desktop_sandbox.screen.regions import union
from desktop_sandbox.vision import find, marks, patterns, windows, words
from desktop_sandbox.vision.waiting import Settled, until_change, until_stable

router = APIRouter(prefix="/v1/sandboxes/{sandbox_id}", tags=["eyes"])

WINDOWS_EVERY_S = 0.2
TEXT_EVERY_S = 0.3


@router.post("/wait/stable", operation_id="wait_until_stable", response_model=models.Stable)
async def wait_stable(request: Request, sandbox_id: str, body: models.WaitStable) -> Response:
    """Wait until nothing on the screen changes any more; the answer says what moved last if it does not come to rest.

    A desktop that stands still in memory is looked at as it is, and not woken.
    """
    eyes = services(request).eyes

    async def work() -> Response:
        settled = await until_stable(
            eyes.look(sandbox_id, wake=False),
            watch_of(body, blinking=body.blinking),
            quiet_s=body.quiet_ms / 1000,
            timeout_s=body.timeout,
        )
        if not settled.stable and body.on_timeout == "error":
            raise DeadlineError(
                f"the screen did not stand still for {body.quiet_ms} ms within {body.timeout:g} s",
                hint="ignore what moves all the time (see moving), or wait longer",
                moving=settled.moving,
                regions=settled.regions,
            )
        return json_response(await _seen(eyes, sandbox_id, settled, body))

    return await while_there(request, work)


@router.post("/wait/change", operation_id="wait_for_change", response_model=models.Stable)
async def wait_change(request: Request, sandbox_id: str, body: models.WaitChange) -> Response:
    """Wait until the screen, or a region of it, shows something else than now or at an earlier moment."""
    eyes = services(request).eyes

    async def work() -> Response:
        before = await eyes.kept(sandbox_id, body.since)
        look = eyes.look(sandbox_id, wake=True)
        settled = await until_change(look, watch_of(body), timeout_s=body.timeout, before=before)
        if not settled.regions and body.on_timeout == "error":
            where = "the screen" if body.region is None else f"the region {body.region}"
            raise DeadlineError(
                f"nothing changed in {where} within {body.timeout:g} s", hint="wait longer, or look at a larger region"
            )
        return json_response(await _seen(eyes, sandbox_id, settled, body))

    return await while_there(request, work)


@router.post("/wait/window", operation_id="wait_for_window", response_model=models.WindowWaited)
async def wait_window(request: Request, sandbox_id: str, body: models.WaitWindow) -> Response:
    """Wait for a window by its title or class; the error lists the windows that are open instead."""
    if body.title is None and body.window_class is None:
        raise InvalidRequestError("no window was described", hint="give title, window_class or both")
    title = None if body.title is None else patterns.pattern_of(body.title, regex=body.regex)
    node = services(request).node
    seen: Sequence[Mapping[str, Any]] = ()

    async def look() -> Mapping[str, Any] | None:
        nonlocal seen
        seen = [window for window in await node.windows(sandbox_id) if isinstance(window, Mapping)]
        return windows.matching(seen, title, body.window_class)

    async def work() -> Response:
        found, waited_s = await _poll(look, lambda found: (found is None) == body.gone, body.timeout, WINDOWS_EVERY_S)
        if (found is None) != body.gone and body.on_timeout == "error":
            wanted = " and ".join(
                [f"titled {body.title!r}"] * (body.title is not None)
                + [f"of class {body.window_class!r}"] * (body.window_class is not None)
            )
            if body.gone:
                raise DeadlineError(f"a window {wanted} is still open after {body.timeout:g} s", hint="close it")
            raise DeadlineError(
                f"no window {wanted} within {body.timeout:g} s; {windows.listed(seen)}",
                hint="use one of these, or wait longer",
            )
        return json_response({"window": _window(found), "waited_ms": round(waited_s * 1000)})

    return await while_there(request, work)


@router.post("/wait/text", operation_id="wait_for_text", response_model=models.TextWaited)
async def wait_text(request: Request, sandbox_id: str, body: models.WaitText) -> Response:
    """Wait until a text is on the screen, or gone from it. Read again whenever the screen has changed."""
    pattern = patterns.pattern_of(body.text, regex=body.regex)
    eyes = services(request).eyes
    last: tuple[bytes, list[words.Word]] | None = None

    async def look() -> list[words.Found]:
        nonlocal last
        part, region = cut(await eyes.node.frame(sandbox_id, wake=True), body.region)
        pixels = part.tobytes()
        if last is None or last[0] != pixels:
            last = pixels, await eyes.words(part, region, body)
        return words.search(last[1], pattern)

    async def work() -> Response:
        found, waited_s = await _poll(look, lambda found: bool(found) != body.gone, body.timeout, TEXT_EVERY_S)
        if bool(found) == body.gone and body.on_timeout == "error":
            there = words.text_of(last[1])[:2000] if last else ""
            if body.gone:
                raise DeadlineError(
                    f"{body.text!r} is still on the screen after {body.timeout:g} s", hint="wait longer"
                )
            raise DeadlineError(
                f"{body.text!r} was not read on the screen within {body.timeout:g} s",
                hint="see text for what was read; a region makes reading quicker and surer",
                text=there,
            )
        return json_response({"matches": [_found(each) for each in found], "waited_ms": round(waited_s * 1000)})

    return await while_there(request, work)


@router.post("/changes", operation_id="compare_screens", response_model=models.Changes)
async def changes(request: Request, sandbox_id: str, body: models.Compare) -> Response:
    """Compare the screen with how it was at a moment, or with a picture; without either, begin: the answer's moment."""
    eyes = services(request).eyes
    if body.since is not None and body.picture is not None:
        raise InvalidRequestError("a moment and a picture to compare with", hint="give one of them")
    before = await eyes.kept(sandbox_id, body.since)
    frame = await eyes.node.frame(sandbox_id)
    if body.picture is not None:
        picture = await asyncio.to_thread(brought, body.picture)
        before = framed(picture, frame.shape[1], frame.shape[0])

    async def now() -> Any:
        return frame

    settled = await until_change(now, watch_of(body), timeout_s=0, before=before)
    found = await eyes.changes(sandbox_id, settled)
    return json_response({name: found[name] for name in ("changed", "regions", "moment")})


@router.post("/find-picture", operation_id="find_picture", response_model=models.PictureMatches)
async def find_picture(request: Request, sandbox_id: str, body: models.FindPicture) -> Response:
    """Find a picture on the screen: all places that look like it, best first."""
    eyes = services(request).eyes
    if (body.picture is None) == (body.like is None):
        raise InvalidRequestError("one picture is looked for", hint="give picture, or like (a region of the screen)")
    if not find.SMALLEST <= body.scale[0] <= body.scale[1] <= find.LARGEST:
        raise InvalidRequestError(
            f"scale is {body.scale}", hint=f"smallest and largest, within {find.SMALLEST:g} and {find.LARGEST:g}"
        )
    frame = await eyes.node.frame(sandbox_id)

    def work() -> list[find.Match]:
        wanted = brought(body.picture) if body.picture is not None else cut(frame, body.like)[0]
        screen, region = cut(frame, body.region)
        found = find.find(screen, wanted, threshold=body.threshold, scales=body.scale, limit=body.limit)
        return [find.Match((m.box[0] + region[0], m.box[1] + region[1], *m.box[2:]), m.score, m.scale) for m in found]

    found = await while_there(request, lambda: eyes.find(work))
    return json_response({"matches": [{"box": m.box, "score": m.score, "scale": m.scale} for m in found]})


@router.post("/read-text", operation_id="read_text", response_model=models.TextRead)
async def read_text(request: Request, sandbox_id: str, body: models.ReadText) -> Response:
    """Read the text on the screen: words with boxes and confidence."""
    eyes = services(request).eyes
    part, region = await eyes.part(sandbox_id, body.region)
    found = await while_there(request, lambda: eyes.words(part, region, body))
    return json_response({"text": words.text_of(found), "words": [_word(each) for each in found]})


@router.post("/marks", operation_id="mark_elements", response_model=models.Marked)
async def mark_elements(request: Request, sandbox_id: str, body: models.MarkElements) -> Response:
    """Number boxes on the screen, your own or those of its text, and draw the numbers on a screenshot."""
    eyes = services(request).eyes
    if body.boxes is None and not body.text:
        raise InvalidRequestError("nothing to number", hint="give boxes, or text: true")
    spec = spec_of(body.screenshot)
    if spec.region is not None or spec.stable_ms is not None:
        raise InvalidRequestError("marks are drawn on the whole screen as it is", hint="leave out region and stable")
    frame = await eyes.node.frame(sandbox_id)
    boxes = [(each.box, each.label) for each in body.boxes or ()]
    if body.text:
        part, region = cut(frame, None)
        read = await while_there(request, lambda: eyes.words(part, region, models.ReadText()))
        boxes += [(union(w.box for w in line), words.text_of(line)[:200]) for line in words.lines_of(read)]
    found = marks.number(boxes, frame.shape[1], frame.shape[0])
    await asyncio.to_thread(marks.draw, frame, found)
    shot = await eyes.picture(sandbox_id, frame, spec)
    listed = [{"number": mark.number, "box": mark.box, "label": mark.label} for mark in found]
    return json_response({"marks": listed, "screenshot": picture_json(shot)})


async def _seen(eyes: Eyes, sandbox_id: str, settled: Settled, wish: models.Seeing) -> dict[str, Any]:
    found = {**await eyes.changes(sandbox_id, settled), "waited_ms": round(settled.waited_s * 1000), "screenshot": None}
    if wish.screenshot is not False:
        spec = spec_of(wish.screenshot)
        found["screenshot"] = picture_json(await eyes.picture(sandbox_id, settled.frame, spec, stable=settled.stable))
    return found


async def _poll(
    look: Callable[[], Awaitable[Any]], good: Callable[[Any], bool], timeout_s: float, every_s: float
) -> tuple[Any, float]:
    """What `look` finds, as soon as that is good or the time is over (after a last look); and how long it took."""
    started = time.monotonic()
    while True:
        begun = time.monotonic()
        found = await look()
        now = time.monotonic()
        if good(found) or begun - started >= timeout_s:
            return found, now - started
        await asyncio.sleep(min(max(every_s, (now - begun) / 4), max(0.0, started + timeout_s - now)))


def _window(window: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if window is None:
        return None
    kept = ("title", "pid", "x", "y", "width", "height", "active")
    return {
        "id": str(window["id"]),
        "window_class": str(window.get("class") or ""),
        **{name: window.get(name) for name in kept},
    }


def _word(word: words.Word) -> dict[str, Any]:
    return {"text": word.text, "box": word.box, "confidence": word.confidence, "line": word.line}


def _found(found: words.Found) -> dict[str, Any]:
    return {"text": found.text, "box": found.box, "confidence": found.confidence}
