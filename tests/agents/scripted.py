"""A model's API as a peer on this host: answers each request with the next of a script, and keeps what it was sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = dict[str, Any] | Callable[[dict[str, Any]], dict[str, Any]]


@dataclass
class Model:
    """`requests` are the bodies it was sent; an answer that is a function is called with the body it answers."""

    script: list[Answer]
    requests: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.paths.append(path)
        self.requests.append(body)
        try:
            answer = self.script[len(self.requests) - 1]
            return 200, answer(body) if callable(answer) else answer
        except Exception as error:  # a peer's thread: the test must hear of it, the program must not hang
            self.failures.append(repr(error))
            return 400, {"error": {"type": "invalid_request_error", "message": repr(error)}}


@contextmanager
def scripted(script: list[Answer]) -> Iterator[Model]:
    """Serve a script on a free port of this host."""
    model = Model(script)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, answer = model.answer(self.path, body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    model.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield model
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def claude(*content: dict[str, Any]) -> dict[str, Any]:
    """A message of Anthropic's API."""
    calls = any(block["type"] == "tool_use" for block in content)
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-5",
        "content": [*content],
        "stop_reason": "tool_use" if calls else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }


def member(number: int, name: str, **given: Any) -> dict[str, Any]:
    """A call of a member of Anthropic's computer toolset."""
    return {"type": "tool_use", "id": f"tu_{number}", "name": name, "toolset_name": "computer", "input": given}


def gpt(*output: dict[str, Any]) -> dict[str, Any]:
    """A response of OpenAI's API."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 0,
        "status": "completed",
        "model": "gpt-5.5",
        "output": [*output],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }


def computer_call(number: int, *actions: dict[str, Any], checks: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """A call of OpenAI's computer tool."""
    return {
        "type": "computer_call",
        "id": f"cu_{number}",
        "call_id": f"call_{number}",
        "status": "completed",
        "actions": [*actions],
        "pending_safety_checks": checks or [],
    }


def said(text: str) -> dict[str, Any]:
    """A message among a response's output items."""
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}


def gemini(*parts: dict[str, Any]) -> dict[str, Any]:
    """An answer of Gemini's API."""
    return {"candidates": [{"content": {"role": "model", "parts": [*parts]}, "finishReason": "STOP", "index": 0}]}


def function(name: str, **args: Any) -> dict[str, Any]:
    """A function call among a content's parts."""
    return {"functionCall": {"name": name, "args": args}}


def chat(text: str | None = None, **calls: dict[str, Any]) -> dict[str, Any]:
    """An answer of the Chat Completions API: text, and calls of functions by name."""
    made = [
        {"id": f"call_{name}", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        for name, given in calls.items()
    ]
    message = {"role": "assistant", "content": text, **({"tool_calls": made} if made else {})}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if made else "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return {
        "id": "chat_1",
        "object": "chat.completion",
        "created": 0,
        "model": "gpt-5.5",
        "choices": [choice],
        "usage": usage,
    }
