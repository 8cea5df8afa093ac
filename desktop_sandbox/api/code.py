"""Routes: code that keeps its state, in contexts of a desktop."""

import hashlib
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from desktop_sandbox import errors
from desktop_sandbox.api import code_models as models
from desktop_sandbox.api.answer import Answer
from desktop_sandbox.api.code_lines import Gathered, end_of, line_of
from desktop_sandbox.api.contexts import KIND, Messages, language_of
from desktop_sandbox.api.keys import request_digest, request_key
from desktop_sandbox.api.problems import problem_answer, unexpected
from desktop_sandbox.api.services import Services, answer_json, json_response, moment, services
from desktop_sandbox.node.reach_interface import JobInfo
from desktop_sandbox.problem import to_problem

router = APIRouter(prefix="/v1/sandboxes/{sandbox_id}/code", tags=["code"])

NDJSON = "application/x-ndjson"
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "All that the code said, or with `stream` one JSON object a line (CodeLine), the status last.",
        "content": {NDJSON: {"schema": {"$ref": "#/components/schemas/CodeLine"}}},
    }
}


@router.post("/run", operation_id="run_code", response_model=models.CodeDone | models.CodeLine, responses=_RESPONSES)
async def run_code(request: Request, sandbox_id: str, body: models.RunCode) -> Response:
    """Run code in a context, whose state it finds and leaves.

    Code runs one piece after another; a client that leaves does not stop it. Whole answers hold up to 16 MiB; stream
    what is longer. What the code raises is no error of the call: look at `status` and `error`.
    """
    the = services(request)
    info = await _context(the, sandbox_id, body)
    running = the.contexts.run(sandbox_id, info, body.code, body.timeout)
    if body.stream:
        return await _streamed(request, the, running, info)

    async def work() -> Answer:
        gathered = Gathered()
        async with aclosing(running) as messages:
            async for message in messages:
                if message["t"] == "done":
                    return answer_json(gathered.json(message, info.id))
                gathered.add(message)
        raise errors.ChannelError("the code's end was never reported", hint='look at "desktop-sandbox why"')

    return await the.once.run(request, work, repeatable=False)


async def _context(the: Services, sandbox_id: str, body: models.RunCode) -> JobInfo:
    if body.context is not None:
        return await the.contexts.find(sandbox_id, body.context)
    return await the.contexts.default(sandbox_id, body.language)


async def _streamed(request: Request, the: Services, running: Messages, info: JobInfo) -> Response:
    body = await request.body()
    digest = request_digest(request, body)
    key = await the.once.claim(request, body)

    async def lines() -> AsyncIterator[bytes]:
        outcome = problem_answer(errors.ServerError("its stream was cut, and the code went on without it"))
        try:
            async with aclosing(running) as messages:
                async for message in messages:
                    done = message["t"] == "done"
                    line = end_of(message, info.id) if done else line_of(message)
                    if done:
                        outcome = answer_json(line)
                    if line is not None:
                        yield json.dumps(line).encode() + b"\n"
        except Exception as error:
            known = error if isinstance(error, errors.DesktopSandboxError) else unexpected(error)
            outcome = problem_answer(known)
            yield json.dumps({"problem": to_problem(known)}).encode() + b"\n"
        finally:
            the.once.finish_soon(key, digest, outcome)

    return StreamingResponse(lines(), media_type=NDJSON)


@router.post("/contexts", operation_id="create_context", status_code=201, response_model=models.CodeContext)
async def create_context(request: Request, sandbox_id: str, body: models.CreateContext) -> Response:
    """Start a context; it takes code once this returns."""
    the, key = services(request), request_key(request)
    digest = secrets.token_hex(6) if key is None else hashlib.sha256(f"{KIND} {key}".encode()).hexdigest()[:12]

    async def work() -> Answer:
        info = await the.contexts.create(
            sandbox_id, f"{KIND}-{digest}", body.language, user=body.user, cwd=body.cwd, env=body.env
        )
        return answer_json(_json(info), 201)

    return await the.once.run(request, work)


@router.get("/contexts", operation_id="list_contexts", response_model=models.ContextList)
async def list_contexts(request: Request, sandbox_id: str) -> Response:
    """List contexts that run, and those that ended some minutes ago at most."""
    return json_response({"contexts": [_json(each) for each in await services(request).contexts.list(sandbox_id)]})


@router.post("/contexts/{context_id}/interrupt", operation_id="interrupt_context", status_code=204)
async def interrupt_context(request: Request, sandbox_id: str, context_id: models.ContextId) -> Response:
    """Interrupt the code that runs in a context; its state stays. Nothing where none runs."""
    return await _tell(request, sandbox_id, context_id, "interrupt")


@router.post("/contexts/{context_id}/restart", operation_id="restart_context", status_code=204)
async def restart_context(request: Request, sandbox_id: str, context_id: models.ContextId) -> Response:
    """Start a context's kernel anew: what runs is ended, and its state is lost."""
    return await _tell(request, sandbox_id, context_id, "restart")


@router.delete("/contexts/{context_id}", operation_id="remove_context", status_code=204)
async def remove_context(request: Request, sandbox_id: str, context_id: models.ContextId) -> Response:
    """End a context with all that runs in it."""
    the = services(request)

    async def work() -> Answer:
        await the.contexts.find(sandbox_id, context_id)
        await the.node.end_job(sandbox_id, context_id)
        return Answer(204, b"")

    return await the.once.run(request, work)


async def _tell(request: Request, sandbox_id: str, context_id: str, op: str) -> Response:
    the = services(request)

    async def work() -> Answer:
        await the.contexts.tell(sandbox_id, await the.contexts.find(sandbox_id, context_id), op)
        return Answer(204, b"")

    return await the.once.run(request, work, repeatable=False)


def _json(info: JobInfo) -> dict[str, Any]:
    return {
        "id": info.id,
        "language": language_of(info),
        "user": info.user,
        "running": info.running,
        "started_at": moment(info.started_at),
    }
