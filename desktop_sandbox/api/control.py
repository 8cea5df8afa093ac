"""Routes: viewers' tokens, who drives, and the clipboard."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from desktop_sandbox.api import desktop_models, stream_models
from desktop_sandbox.api.access import grant_of
from desktop_sandbox.api.answer import Answer
from desktop_sandbox.api.services import Services, answer_json, json_response, moment, services
from desktop_sandbox.stream.lease import Ask

router = APIRouter(prefix="/v1/sandboxes/{sandbox_id}", tags=["stream"])

TokenId = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$", examples=["5f0c0ffee0ddba11"])]
_ASKS = {"take": Ask.RECALL, "give": Ask.GIVE, "release": Ask.RELEASE}


@router.post("/tokens", operation_id="make_token", status_code=201, response_model=stream_models.Token)
async def make_token(request: Request, sandbox_id: str, body: stream_models.MakeToken) -> Response:
    """Make a link for a person: a token that lets its holder watch this desktop, or drive it, for a while."""
    the = services(request)
    await the.node.get(sandbox_id)

    async def work() -> Answer:
        token, text = await the.tokens.make(
            sandbox_id, body.rights, body.ttl, name=body.name, takes_control=body.takes_control
        )
        facts = {"id": token.id, "rights": token.rights, "name": token.name, "expires_at": moment(token.expires_at)}
        return answer_json({**facts, "token": text, "url": view_url(request, the, sandbox_id, text)}, 201)

    return await the.once.run(request, work)


@router.get("/tokens", operation_id="list_tokens", response_model=stream_models.TokenList)
async def list_tokens(request: Request, sandbox_id: str) -> Response:
    """List the tokens that are good now, without what makes them good."""
    the = services(request)
    await the.node.get(sandbox_id)
    found = [
        {"id": token.id, "rights": token.rights, "name": token.name, "expires_at": moment(token.expires_at)}
        for token in await the.tokens.list(sandbox_id)
    ]
    return json_response({"tokens": found})


@router.delete("/tokens/{token_id}", operation_id="revoke_token", status_code=204)
async def revoke_token(request: Request, sandbox_id: str, token_id: TokenId) -> Response:
    """Revoke a token, and those that were made with it by forking: who watches with them is cut off."""
    the = services(request)

    async def work() -> Answer:
        for each in await the.tokens.revoke(sandbox_id, token_id):
            await the.views.revoked(each)
        return Answer(204, b"")

    return await the.once.run(request, work)


@router.get("/control", operation_id="get_control", response_model=stream_models.Control)
async def get_control(request: Request, sandbox_id: str) -> Response:
    """Get who drives: the agent, a viewer, or nobody."""
    the = services(request)
    await the.node.get(sandbox_id)
    return json_response(control_json(the, sandbox_id))


@router.post("/control", operation_id="set_control", response_model=stream_models.Control)
async def set_control(request: Request, sandbox_id: str, body: stream_models.AskControl) -> Response:
    """Take the control back for the agent, give it to the viewer who asked, or release it.

    `take` always works. `give` without a viewer who asked lets anyone take it; the agent's next action takes it again.
    """
    the = services(request)
    await the.node.get(sandbox_id)

    async def work() -> Answer:
        the.views.control(sandbox_id).agent_asks(_ASKS[body.want])
        return answer_json(control_json(the, sandbox_id))

    return await the.once.run(request, work)


@router.get("/clipboard", operation_id="get_clipboard", response_model=desktop_models.Clipboard)
async def get_clipboard(request: Request, sandbox_id: str) -> Response:
    """Get the text in the desktop's clipboard; empty where it holds none."""
    return json_response({"text": await services(request).node.get_clipboard(sandbox_id)})


@router.put("/clipboard", operation_id="set_clipboard", status_code=204)
async def set_clipboard(request: Request, sandbox_id: str, body: desktop_models.SetClipboard) -> Response:
    """Put text into the desktop's clipboard, at most 1 MiB."""
    the = services(request)

    def setting() -> Awaitable[None]:
        return the.node.set_clipboard(sandbox_id, body.text)

    return await fill_clipboard(request, sandbox_id, setting, body.wait_for_control)


async def fill_clipboard(
    request: Request, sandbox_id: str, setting: Callable[[], Awaitable[None]], wait_s: float
) -> Response:
    """Put something into the clipboard: for the agent only while no person drives, who may be pasting just now."""
    the = services(request)

    async def work() -> Answer:
        if grant_of(request).token is None:
            await the.views.as_agent(sandbox_id, setting, wait_s)
        else:
            await setting()
        return Answer(204, b"")

    return await the.once.run(request, work)


def control_json(the: Services, sandbox_id: str) -> dict[str, object]:
    """Who drives, as the API shows it."""
    desk = the.views.desks.get(sandbox_id)
    if desk is None:
        return {"holder": "agent", "name": None, "since": None, "wanted_by": None, "viewers": 0}
    facts = desk.control_facts()
    return {**facts, "since": moment(min(facts["since"], time.time()))}


def view_url(request: Request, the: Services, sandbox_id: str, token: str) -> str:
    """The page's address with the token in its fragment, which no server, log or referrer sees."""
    base = the.config.stream.base_url or str(request.base_url).rstrip("/")
    return f"{base}/view/{quote(sandbox_id)}#token={token}"
