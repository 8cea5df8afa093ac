"""Route: run a command in a desktop, answered whole or streamed as NDJSON."""

import base64
import binascii
import codecs
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, cast

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from desktop_sandbox import errors
from desktop_sandbox.api import command_models
from desktop_sandbox.api.answer import Answer
from desktop_sandbox.api.keys import request_digest
from desktop_sandbox.api.problems import problem_answer, unexpected
from desktop_sandbox.api.services import Services, answer_json, services
from desktop_sandbox.node.facts import CommandExit, CommandOutput, CommandSpec
from desktop_sandbox.problem import to_problem

router = APIRouter(prefix="/v1/sandboxes/{sandbox_id}", tags=["commands"])

NDJSON = "application/x-ndjson"
MAX_WHOLE_BYTES = 16 << 20
Running = AsyncGenerator[CommandOutput | CommandExit, None]

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The whole output, or with `stream` one JSON object a line (CommandLine), the exit last.",
        "content": {NDJSON: {"schema": {"$ref": "#/components/schemas/CommandLine"}}},
    }
}


@router.post(
    "/commands",
    operation_id="run_command",
    response_model=command_models.CommandDone | command_models.CommandLine,
    responses=_RESPONSES,
)
async def run(request: Request, sandbox_id: str, body: command_models.RunCommand) -> Response:
    """Run a command in the desktop.

    Whole answers hold up to 16 MiB of output; stream what is longer. A client that leaves a stream ends the
    command; a whole one runs on, and a repeat with the same Idempotency-Key gets its answer. A stream is not kept:
    its repeat is refused, so that nothing runs twice.
    """
    the = services(request)
    spec = CommandSpec(
        command=body.command,
        user=body.user,
        cwd=body.cwd,
        env=body.env,
        timeout_s=body.timeout,
        stdin=_stdin(body),
    )
    if body.stream:
        return await _streamed(request, the, sandbox_id, spec, body.encoding)

    async def work() -> Answer:
        return await _whole(the.node.run_command(sandbox_id, spec), body.encoding)

    return await the.once.run(request, work, repeatable=False)


async def _whole(running: AsyncIterator[CommandOutput | CommandExit], encoding: str) -> Answer:
    outputs = {"stdout": bytearray(), "stderr": bytearray()}
    async with aclosing(cast("Running", running)) as events:
        async for event in events:
            if isinstance(event, CommandExit):
                texts = {name: _text(bytes(data), encoding) for name, data in outputs.items()}
                return answer_json({**texts, **_exit_json(event)})
            outputs[event.stream] += event.data
            if sum(map(len, outputs.values())) > MAX_WHOLE_BYTES:
                raise errors.GuestError(
                    f"the command wrote more than {MAX_WHOLE_BYTES >> 20} MiB, and was ended",
                    hint="stream its output (stream: true; in the SDK commands.stream), or write it to a file",
                )
    raise errors.ChannelError("the command's end was never reported", hint='look at "desktop-sandbox why"')


async def _streamed(request: Request, the: Services, sandbox_id: str, spec: CommandSpec, encoding: str) -> Response:
    body = await request.body()
    digest = request_digest(request, body)
    key = await the.once.claim(request, body)
    running = cast("Running", the.node.run_command(sandbox_id, spec))
    try:
        first = await anext(running)  # so that a command which cannot start is a problem with its own status
    except Exception as error:
        await the.once.release(key)
        if isinstance(error, StopAsyncIteration):
            raise errors.ChannelError("the command's end was never reported") from None
        raise

    async def lines() -> AsyncIterator[bytes]:
        outcome = problem_answer(errors.ServerError("its stream was cut, and the command was ended"))
        try:
            async with aclosing(running):
                async for line, event in _lines(first, running, encoding):
                    if isinstance(event, CommandExit):
                        outcome = answer_json(_exit_json(event))
                    yield line
        finally:
            the.once.finish_soon(key, digest, outcome)

    return StreamingResponse(lines(), media_type=NDJSON)


async def _lines(
    first: CommandOutput | CommandExit, running: Running, encoding: str
) -> AsyncIterator[tuple[bytes, CommandOutput | CommandExit | None]]:
    decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in ("stdout", "stderr")}

    def line(event: CommandOutput | CommandExit) -> bytes:
        if isinstance(event, CommandExit):
            return _line(_exit_json(event))
        if encoding == "base64":
            return _line({"stream": event.stream, "data": base64.b64encode(event.data).decode()})
        text = decoders[event.stream].decode(event.data)
        return _line({"stream": event.stream, "data": text}) if text else b""

    def rest() -> bytes:
        tails = {name: decoder.decode(b"", final=True) for name, decoder in decoders.items()}
        return b"".join(_line({"stream": name, "data": tail}) for name, tail in tails.items() if tail)

    try:
        event: CommandOutput | CommandExit | None = first
        while event is not None:
            ending = rest() if isinstance(event, CommandExit) else b""
            yield ending + line(event), event
            event = None if isinstance(event, CommandExit) else await anext(running, None)
    except errors.DesktopSandboxError as error:
        yield _line({"problem": to_problem(error)}), None
    except Exception as error:
        yield _line({"problem": to_problem(unexpected(error))}), None


def _stdin(body: command_models.RunCommand) -> bytes | None:
    if body.stdin is None or body.encoding == "utf-8":
        return None if body.stdin is None else body.stdin.encode("utf-8", "replace")
    try:
        return base64.b64decode(body.stdin, validate=True)
    except (binascii.Error, ValueError):
        raise errors.InvalidRequestError(
            "stdin is not base64", hint='send base64, or set encoding to "utf-8" and send text'
        ) from None


def _text(data: bytes, encoding: str) -> str:
    return base64.b64encode(data).decode() if encoding == "base64" else data.decode("utf-8", "replace")


def _exit_json(event: CommandExit) -> dict[str, Any]:
    return {"exit_code": event.exit_code, "signal": event.signal, "timed_out": event.timed_out}


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"
