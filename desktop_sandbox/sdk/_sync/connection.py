# Generated from ../_async by python -m desktop_sandbox.sdk.generate: change that, not this.
"""The SDK's HTTP: one pool of kept-alive connections per server and event loop, repeats with the same key, errors."""

from __future__ import annotations

import json
import os
import random
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import httpx

from desktop_sandbox import errors
from desktop_sandbox.config import client_config, is_loopback
from desktop_sandbox.problem import from_problem
from desktop_sandbox.sdk import runtime
from desktop_sandbox.sdk.requests import RETRIES, backoff, not_reached

DEFAULT_TIMEOUT_S = 120.0
CONNECT_TIMEOUT_S = 5.0
CANCEL_S = 4.0
_lock = threading.Lock()
_rng = random.Random()  # noqa: S311
_shared: WeakKeyDictionary[object, dict[tuple[int, str, str | None], Connection]] = WeakKeyDictionary()


class Connection:
    """Requests to one server. Take one with `shared`, give it back with `release`."""

    def __init__(self, url: str, api_key: str | None) -> None:
        self.url = url
        self._key = api_key
        self.screens = runtime.local_screens(url)
        self._users = 0
        self._closed = False
        parts = urlsplit(url)
        headers = {"User-Agent": "desktop-sandbox-sdk"}
        if api_key is not None:
            headers["Authorization"] = f"Bearer {api_key}"
        self._http = httpx.Client(
            base_url=url,
            headers=headers,
            transport=runtime.sync_transport(url),
            verify=parts.scheme == "https",
            trust_env=not is_loopback(parts.hostname or ""),
            timeout=httpx.Timeout(DEFAULT_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=60.0),
        )

    def __repr__(self) -> str:
        return f"<Connection {self.url} {'closed' if self._closed else 'open'}>"

    @classmethod
    def shared(cls, url: str | None = None, api_key: str | None = None) -> Connection:
        """The connection for a server, made on first use; each call needs one `release`."""
        config = client_config(url, api_key)
        key = (os.getpid(), config.url, config.api_key)
        with _lock:
            pool = _shared.setdefault(runtime.sync_scope(), {})
            found = pool.get(key)
            if found is None or found._closed:
                found = pool[key] = cls(config.url, config.api_key)
            found._users += 1
        return found

    def again(self) -> Connection:
        """The same connection for one more user, who gives it back, too."""
        with _lock:
            self._users += 1
        return self

    def release(self) -> None:
        """Give it back; the last one out closes it."""
        with _lock:
            self._users -= 1
            last = self._users <= 0 and not self._closed
            self._closed = self._closed or last
        if last:
            if self.screens is not None:
                self.screens.close()
            self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | list[str]] | None = None,
        body: Mapping[str, Any] | None = None,
        content: bytes | Iterable[bytes] | None = None,
        timeout: float | None = DEFAULT_TIMEOUT_S,
        media_type: str = "application/octet-stream",
        cancel: bool = False,
    ) -> httpx.Response:
        """One call; a change is repeated with the same Idempotency-Key when the connection breaks.

        `cancel`: where nobody waits for the answer any more the server is told so, by that key below the path.
        """
        request = self._build(method, path, params, body, content, timeout, media_type)
        tries = 1 if content is not None and not isinstance(content, bytes) else RETRIES
        try:
            response = self._send(request, tries, path, timeout)
        except BaseException as error:
            closed = isinstance(error, GeneratorExit)  # there is nobody left who could say a last word
            if cancel and not closed and (isinstance(error, errors.DeadlineError) or not isinstance(error, Exception)):
                begun = f"{path}/{request.headers['Idempotency-Key']}"
                runtime.sync_last_word(lambda: self.request("DELETE", begun, timeout=CANCEL_S), CANCEL_S)
            raise
        if response.status_code >= 400:
            raise problem_of(response)
        return response

    def _send(self, request: httpx.Request, tries: int, path: str, timeout: float | None) -> httpx.Response:
        for attempt in range(tries):
            try:
                return self._http.send(request)
            except httpx.TimeoutException as error:
                raise self._too_late(error, path, timeout) from error
            except httpx.TransportError as error:
                if attempt == tries - 1:
                    raise not_reached(self.url, error) from error
                runtime.sync_sleep(backoff(attempt, _rng))
        raise AssertionError("unreachable")

    @contextmanager
    def stream(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | list[str]] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[httpx.Response]:
        """One call whose answer is read as it comes; leaving early ends it. Never repeated once it was sent."""
        request = self._build(method, path, params, body, None, None)
        request.headers.update(headers or {})
        try:
            response = self._http.send(request, stream=True)
        except httpx.TimeoutException as error:
            raise self._too_late(error, path, None) from error
        except httpx.TransportError as error:
            raise not_reached(self.url, error) from error
        try:
            if response.status_code >= 400:
                response.read()
                raise problem_of(response)
            yield response
        except httpx.TransportError as error:
            raise errors.ServerError(
                f"the connection broke in the middle of {path}: {error}",
                hint="the server may have been stopped; is it running?",
            ) from error
        finally:
            response.close()

    def socket(self, path: str) -> Any:
        """A WebSocket to a path of the API. ServerError if the server cannot be reached."""
        if self._closed:
            raise errors.ConflictError("this connection is closed", hint="make or connect to a sandbox again")
        return runtime.sync_socket(self.url, path, self._key)

    def lines(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: Mapping[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """The objects of an NDJSON answer; a `problem` among them is raised."""
        with self.stream(method, path, params=params, body=body) as response:
            for line in response.iter_lines():
                if line:
                    value = json.loads(line)
                    if value.get("problem"):
                        raise from_problem(value["problem"], value["problem"].get("status", 500))
                    yield value

    def _build(
        self,
        method: str,
        path: str,
        params: Mapping[str, str | list[str]] | None,
        body: Mapping[str, Any] | None,
        content: bytes | Iterable[bytes] | None,
        timeout: float | None,
        media_type: str = "application/octet-stream",
    ) -> httpx.Request:
        if self._closed:
            raise errors.ConflictError("this connection is closed", hint="make or connect to a sandbox again")
        headers = {} if method == "GET" else {"Idempotency-Key": uuid.uuid4().hex}
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        elif content is not None:
            headers["Content-Type"] = media_type
        limits = httpx.Timeout(timeout, connect=CONNECT_TIMEOUT_S)
        return self._http.build_request(method, path, params=params, content=content, headers=headers, timeout=limits)

    def _too_late(self, error: Exception, path: str, timeout: float | None) -> errors.DesktopSandboxError:
        if isinstance(error, httpx.ConnectTimeout):
            return not_reached(self.url, error)
        return errors.DeadlineError(f"no answer from {self.url}{path} within {timeout} s", hint="give a longer timeout")


def problem_of(response: httpx.Response) -> errors.DesktopSandboxError:
    """The error that a response describes."""
    try:
        document: object = response.json()
    except ValueError:
        document = None
    return from_problem(document, response.status_code)
