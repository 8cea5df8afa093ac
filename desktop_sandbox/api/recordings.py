"""Routes: record a desktop to MP4, and fetch what was recorded."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import FileResponse, Response

from desktop_sandbox import errors
from desktop_sandbox.api import stream_models
from desktop_sandbox.api.answer import Answer
from desktop_sandbox.api.services import Services, answer_json, json_response, moment, services
from desktop_sandbox.stream.recordings import Recording

router = APIRouter(prefix="/v1/sandboxes/{sandbox_id}", tags=["recordings"])

RecordingId = Annotated[
    str, Path(pattern=r"^rec-[0-9]{8}-[0-9]{6}-[0-9a-f]{4}$", examples=["rec-20260101-120000-00ff"])
]
_VIDEO = {"video/mp4": {"schema": {"type": "string", "format": "binary"}}}
_MP4: dict[int | str, dict[str, Any]] = {
    200: {"description": "The MP4.", "content": _VIDEO},
    206: {"description": "The part of it that `Range` asked for.", "content": _VIDEO},
    304: {"description": "Not changed since."},
    400: {"description": "A Range that is none.", "content": {"text/plain": {"schema": {"type": "string"}}}},
    416: {"description": "No such part.", "content": {"text/plain": {"schema": {"type": "string"}}}},
}


@router.post("/recording", operation_id="start_recording", status_code=201, response_model=stream_models.Recording)
async def start(request: Request, sandbox_id: str, body: stream_models.StartRecording) -> Response:
    """Start recording, one at a time; nobody has to watch."""
    the = services(request)

    async def work() -> Answer:
        return answer_json(recording_json(await the.views.recorder.start(sandbox_id, cursor=body.cursor)), 201)

    return await the.once.run(request, work, repeatable=False)


@router.delete("/recording", operation_id="stop_recording", response_model=stream_models.Recording)
async def stop(request: Request, sandbox_id: str) -> Response:
    """Stop recording; the file is whole when this is answered."""
    the = services(request)

    async def work() -> Answer:
        return answer_json(recording_json(await the.views.recorder.stop(sandbox_id)))

    return await the.once.run(request, work, repeatable=False)


@router.get("/recording", operation_id="get_newest_recording", response_class=FileResponse, responses=_MP4)
async def newest(request: Request, sandbox_id: str) -> Response:
    """Get the newest recording that has ended, as MP4; takes Range."""
    the = services(request)
    files = await the.views.recorder.files(sandbox_id)
    running = the.views.recorder.running_id(sandbox_id)
    for recording in files.list(running):
        if recording.id != running:
            return await _file(the, sandbox_id, recording.id)
    raise errors.NotFoundError(
        f"{sandbox_id} has no recording that has ended", hint="stop the one that is going on: DELETE …/recording"
    )


@router.get("/recordings", operation_id="list_recordings", response_model=stream_models.RecordingList)
async def list_(request: Request, sandbox_id: str) -> Response:
    """List recordings, newest first."""
    the = services(request)
    files = await the.views.recorder.files(sandbox_id)
    found = files.list(the.views.recorder.running_id(sandbox_id))
    return json_response({"recordings": [recording_json(each) for each in found]})


@router.get("/recordings/{recording_id}", operation_id="get_recording", response_class=FileResponse, responses=_MP4)
async def get(request: Request, sandbox_id: str, recording_id: RecordingId) -> Response:
    """Get one recording as MP4; takes Range."""
    return await _file(services(request), sandbox_id, recording_id)


@router.delete("/recordings/{recording_id}", operation_id="remove_recording", status_code=204)
async def remove(request: Request, sandbox_id: str, recording_id: RecordingId) -> Response:
    """Remove a recording that has ended."""
    the = services(request)

    async def work() -> Answer:
        running = the.views.recorder.running_id(sandbox_id)
        files = await the.views.recorder.files(sandbox_id)
        recording = files.get(recording_id, running)
        if recording.id == running:
            raise errors.ConflictError("this recording is going on", hint="stop it first: DELETE …/recording")
        files.remove(recording)
        return Answer(204, b"")

    return await the.once.run(request, work, repeatable=False)


async def _file(the: Services, sandbox_id: str, recording_id: str) -> Response:
    files = await the.views.recorder.files(sandbox_id)
    recording = files.get(recording_id, the.views.recorder.running_id(sandbox_id))
    path = files.path(recording.id)
    if not path.exists():
        raise errors.NotFoundError("the recording's file is gone", hint="GET …/recordings lists what there is")
    headers = {"Cache-Control": "private, no-cache"}
    return FileResponse(path, media_type="video/mp4", filename=f"{sandbox_id}-{recording.id}.mp4", headers=headers)


def recording_json(recording: Recording) -> dict[str, Any]:
    """A recording as the API shows it."""
    return {
        "id": recording.id,
        "state": recording.state,
        "started_at": moment(recording.started_at),
        "ended_at": moment(recording.ended_at),
        "cursor": recording.cursor,
        "frames": recording.frames,
        "duration_ms": recording.duration_ms,
        "size_bytes": recording.size_bytes,
        "reason": recording.reason,
    }
