"""Routes: terminals and background commands, which go on whoever comes and goes."""

from __future__ import annotations

import hashlib
import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from desktop_sandbox import errors
from desktop_sandbox.api import reach_models as models
from desktop_sandbox.api.access import check_token_user, grant_of
from desktop_sandbox.api.answer import Answer
from desktop_sandbox.api.contexts import KIND as CONTEXT
from desktop_sandbox.api.keys import request_key
from desktop_sandbox.api.services import Services, answer_json, json_response, moment, services
from desktop_sandbox.node.reach_interface import JobInfo, JobSpec

router = APIRouter(prefix="/v1/sandboxes/{sandbox_id}")

JobId = Annotated[str, Path(pattern=r"^[a-z]+-[0-9a-f]{12}$", examples=["term-0123456789ab"])]


@router.post(
    "/terminals", operation_id="create_terminal", status_code=201, response_model=models.Job, tags=["terminals"]
)
async def create_terminal(request: Request, sandbox_id: str, body: models.CreateTerminal) -> Response:
    """Start a terminal with the user's shell in it, or another command; connect to it by WebSocket."""
    check_token_user(grant_of(request), body.user)
    spec = JobSpec(
        command=body.command,
        user=body.user,
        cwd=body.cwd,
        env=body.env,
        terminal=True,
        stdin=True,
        rows=body.rows,
        columns=body.columns,
    )
    return await _start(request, sandbox_id, "term", spec)


@router.get("/terminals", operation_id="list_terminals", response_model=models.JobList, tags=["terminals"])
async def list_terminals(request: Request, sandbox_id: str) -> Response:
    """List terminals that run, and those that ended some minutes ago at most."""
    return await _list(request, sandbox_id, terminal=True)


@router.get("/terminals/{job_id}", operation_id="get_terminal", response_model=models.Job, tags=["terminals"])
async def get_terminal(request: Request, sandbox_id: str, job_id: JobId) -> Response:
    """Look at one terminal."""
    return json_response(job_json(await find_job(services(request), sandbox_id, job_id, terminal=True)))


@router.put("/terminals/{job_id}/size", operation_id="resize_terminal", status_code=204, tags=["terminals"])
async def resize_terminal(request: Request, sandbox_id: str, job_id: JobId, body: models.TerminalSize) -> Response:
    """Change a terminal's size, in characters."""
    the = services(request)

    async def work() -> Answer:
        await the.node.resize_job(sandbox_id, job_id, body.rows, body.columns)
        return Answer(204, b"")

    return await the.once.run(request, work)


@router.delete("/terminals/{job_id}", operation_id="kill_terminal", status_code=204, tags=["terminals"])
async def kill_terminal(request: Request, sandbox_id: str, job_id: JobId) -> Response:
    """End a terminal with all that runs in it."""
    return await _end(request, sandbox_id, job_id, terminal=True)


@router.post("/jobs", operation_id="start_job", status_code=201, response_model=models.Job, tags=["commands"])
async def start_job(request: Request, sandbox_id: str, body: models.StartJob) -> Response:
    """Start a command in the background; connect to it by WebSocket for its output and input, as often as you like."""
    spec = JobSpec(
        command=body.command,
        user=body.user,
        cwd=body.cwd,
        env=body.env,
        stdin=body.stdin,
        timeout_s=body.timeout,
    )
    return await _start(request, sandbox_id, "job", spec)


@router.get("/jobs", operation_id="list_jobs", response_model=models.JobList, tags=["commands"])
async def list_jobs(request: Request, sandbox_id: str) -> Response:
    """List background commands that run, and those that ended some minutes ago at most."""
    return await _list(request, sandbox_id, terminal=False)


@router.get("/jobs/{job_id}", operation_id="get_job", response_model=models.Job, tags=["commands"])
async def get_job(request: Request, sandbox_id: str, job_id: JobId) -> Response:
    """Look at one background command: whether it runs, or how it ended."""
    return json_response(job_json(await find_job(services(request), sandbox_id, job_id, terminal=False)))


@router.post("/jobs/{job_id}/signal", operation_id="signal_job", status_code=204, tags=["commands"])
async def signal_job(request: Request, sandbox_id: str, job_id: JobId, body: models.SendSignal) -> Response:
    """Send a signal to a background command and all of its process group."""
    the = services(request)

    async def work() -> Answer:
        await the.node.signal_job(sandbox_id, job_id, body.signal)
        return Answer(204, b"")

    return await the.once.run(request, work, repeatable=False)


@router.delete("/jobs/{job_id}", operation_id="kill_job", status_code=204, tags=["commands"])
async def kill_job(request: Request, sandbox_id: str, job_id: JobId) -> Response:
    """End a background command and all of its session."""
    return await _end(request, sandbox_id, job_id, terminal=False)


async def _start(request: Request, sandbox_id: str, kind: str, spec: JobSpec) -> Response:
    the = services(request)
    key, token = request_key(request), grant_of(request).token
    # the same key names the same job, so that a repeat starts none; a token's keys are its own
    named = f"{kind} {key}" if token is None else f"{kind} {token.id} {key}"
    digest = secrets.token_hex(6) if key is None else hashlib.sha256(named.encode()).hexdigest()[:12]

    async def work() -> Answer:
        return answer_json(job_json(await the.node.start_job(sandbox_id, f"{kind}-{digest}", spec)), 201)

    return await the.once.run(request, work)


async def _list(request: Request, sandbox_id: str, *, terminal: bool) -> Response:
    found = await services(request).node.jobs(sandbox_id)
    return json_response({"jobs": [job_json(each) for each in found if _shown(each, terminal=terminal)]})


def _shown(info: JobInfo, *, terminal: bool) -> bool:
    return info.terminal is terminal and not info.id.startswith(f"{CONTEXT}-")


async def _end(request: Request, sandbox_id: str, job_id: str, *, terminal: bool) -> Response:
    the = services(request)

    async def work() -> Answer:
        await find_job(the, sandbox_id, job_id, terminal=terminal)
        await the.node.end_job(sandbox_id, job_id)
        return Answer(204, b"")

    return await the.once.run(request, work)


async def find_job(the: Services, sandbox_id: str, job_id: str, *, terminal: bool, resume: bool = True) -> JobInfo:
    """One job of that kind, or NotFoundError."""
    for each in await the.node.jobs(sandbox_id, resume=resume):
        if each.id == job_id and each.terminal is terminal:
            return each
    what = "terminal" if terminal else "background command"
    raise errors.NotFoundError(
        f"{sandbox_id} has no {what} {job_id}", hint="list them; what ended is forgotten after some minutes"
    )


def job_json(info: JobInfo) -> dict[str, Any]:
    """A terminal or background command as the API shows it."""
    return {
        "id": info.id,
        "command": list(info.command),
        "user": info.user,
        "pid": info.pid,
        "rows": info.rows if info.terminal else None,
        "columns": info.columns if info.terminal else None,
        "running": info.running,
        "started_at": moment(info.started_at),
        "ended_at": moment(info.ended_at),
        "exit_code": info.exit_code,
        "signal": info.signal,
        "timed_out": info.timed_out,
        "connections": info.attached,
        "output_start": info.start,
        "output_end": info.end,
    }
