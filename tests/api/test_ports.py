"""Addresses of the guests' ports: real servers stand for those in the guest, real clients come from outside."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from desktop_sandbox.api.port_access import GuestPort, address, read_host, write_host
from tests.api.test_routes import problem, wait_for
from tests.live_server import KEY, Live

ended = threading.Event()


async def echo(request: Request) -> JSONResponse:
    body = await request.body()
    headers = [[name.decode(), value.decode()] for name, value in request.headers.raw]
    found = {"method": request.method, "target": str(request.url.path), "query": request.url.query, "headers": headers}
    return JSONResponse({**found, "size": len(body)}, 201, {"x-mine": "yes", "set-cookie": "theirs=1"})


async def events(request: Request) -> StreamingResponse:
    async def lines() -> AsyncIterator[bytes]:
        try:
            for number in range(100_000):
                yield f"data: {number}\n\n".encode()
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    return StreamingResponse(lines(), media_type="text/event-stream")


async def large(request: Request) -> StreamingResponse:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield bytes(100_000)

    return StreamingResponse(pieces())


async def nothing(request: Request) -> PlainTextResponse:
    return PlainTextResponse("", 204)


async def talk(websocket: WebSocket) -> None:
    if websocket.url.path == "/refuse":
        await websocket.close(4003)
        return
    await websocket.accept(subprotocol=(websocket.scope["subprotocols"] or [None])[-1])
    await websocket.send_json({name: value for name, value in websocket.headers.items()})
    async for text in websocket.iter_text():
        if text == "end":
            await websocket.close(1012, "over")
            return
        await websocket.send_text(f"<{text}>")
        await websocket.send_bytes(text.encode())
    ended.set()


@pytest.fixture(scope="module")
def guest() -> Iterator[int]:
    """The port of a server that stands for one in the guest."""
    routes = [
        Route("/events", events),
        Route("/large", large),
        Route("/nothing", nothing),
        Route("/{rest:path}", echo, methods=["GET", "HEAD", "POST", "PUT", "DELETE"]),
        WebSocketRoute("/talk", talk),
        WebSocketRoute("/refuse", talk),
    ]
    bound = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="error", ws="websockets-sansio"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[bound])), daemon=True)
    thread.start()
    wait_for(lambda: server.started)
    yield bound.getsockname()[1]
    server.should_exit = True
    thread.join(20)


@pytest.fixture
def there(live: Live, guest: int, box: str) -> GuestPort:
    live.node.guest_ports[3000] = guest
    return GuestPort(box.rpartition("/")[2], 3000)


@pytest.fixture
def opened(http: httpx.Client, box: str, there: GuestPort) -> dict[str, str]:
    answer = http.post(f"{box}/ports/3000/address", json={})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def outside(live: Live, there: GuestPort) -> Iterator[httpx.Client]:
    """A client whose requests name the port, as a browser's do, and which has no key."""
    headers = {"host": f"{write_host(there, 'localhost')}:{live.url.rpartition(':')[2]}"}
    with httpx.Client(base_url=live.url, headers=headers, timeout=20) as client:
        yield client


def sent(answer: httpx.Response) -> dict[str, str]:
    return dict(answer.json()["headers"])


def test_a_token_in_the_address_becomes_a_cookie(live: Live, outside: httpx.Client, opened: dict[str, str]) -> None:
    assert opened["url"].startswith(
        f"http://{opened['host']}:{live.url.rpartition(':')[2]}/?desktop-sandbox-token=dsp_"
    )
    problem(outside.get("/"), 401, "authentication")
    query = opened["url"].partition("?")[2]
    first = outside.get(f"/a%20b//c?x=1&{query}&y=%26")
    assert (first.status_code, first.headers["location"]) == (303, "/a%20b//c?x=1&y=%26")
    assert first.headers["referrer-policy"] == "no-referrer"
    cookie = first.headers["set-cookie"]
    for part in ("HttpOnly", "Secure", "SameSite=None", "Partitioned", "Path=/"):
        assert part in cookie
    assert outside.get(f"{live.url}//evil.example/?{query}").headers["location"] == "/evil.example/"
    outside.cookies.clear()
    mine = {"cookie": f"theirs=1; {cookie.partition(';')[0]}; more=2", "connection": "x-hop, keep-alive", "x-hop": "1"}
    answer = outside.get("/a%20b?q=%20", headers=mine)
    assert (answer.status_code, answer.headers["x-mine"], answer.headers["set-cookie"]) == (201, "yes", "theirs=1")
    assert (answer.json()["target"], answer.json()["query"]) == ("/a b", "q=%20")
    headers = sent(answer)
    assert headers["cookie"] == "theirs=1; more=2"
    assert "x-hop" not in headers
    assert headers["host"] == headers["x-forwarded-host"] == outside.headers["host"]
    assert (headers["x-forwarded-proto"], headers["x-forwarded-for"]) == ("http", "127.0.0.1")
    assert "dsp_" not in answer.text, "the guest learns no token"


def test_programs_send_a_header(outside: httpx.Client, opened: dict[str, str], http: httpx.Client, box: str) -> None:
    header = {"X-Desktop-Sandbox-Token": opened["token"]}
    answer = outside.post("/x", headers=header, content=bytes(3 << 20))
    assert answer.json()["size"] == 3 << 20
    assert "x-desktop-sandbox-token" not in sent(answer)
    answer = outside.put("/x", headers=header, content=(bytes(1000) for _ in range(50)))
    assert (answer.json()["size"], sent(answer)["transfer-encoding"]) == (50_000, "chunked")
    assert outside.head("/x", headers=header).headers["x-mine"] == "yes"
    assert outside.get("/nothing", headers=header).status_code == 204
    assert len(outside.get("/large", headers=header).content) == 6_400_000
    assert outside.get("/", headers={"X-Desktop-Sandbox-Token": KEY}).status_code == 201, "the API key opens all"
    other = http.post(f"{box}/ports/3001/address", json={}).json()
    for wrong in (other["token"], opened["token"][:-1], "dsp_x.y", "x"):
        problem(outside.get("/", headers={"X-Desktop-Sandbox-Token": wrong}), 401, "authentication")
    brief = http.post(f"{box}/ports/3000/address", json={"expires_in": 0.001}).json()
    time.sleep(0.01)
    late = outside.get("/", headers={"X-Desktop-Sandbox-Token": brief["token"]})
    problem(late, 401, "authentication")
    assert "expired" in late.text


def test_public_is_for_everybody_until_it_is_not(outside: httpx.Client, http: httpx.Client, box: str) -> None:
    public = http.post(f"{box}/ports/3000/address", json={"public": True}).json()
    assert (public["public"], public["token"], public["expires_at"]) == (True, None, None)
    assert outside.get("/").status_code == 201
    http.post(f"{box}/ports/3000/address", json={})
    assert outside.get("/").status_code == 401
    problem(http.post(f"{box}/ports/0/address", json={}), 422, "invalid-request")
    problem(http.post(f"{box}/ports/80/address", json={"expires_in": 1e9}), 422, "invalid-request")
    problem(http.post("/v1/sandboxes/sb-none/ports/80/address", json={}), 404, "not-found")


def test_answers_that_do_not_end_are_streamed_and_end_with_the_client(
    live: Live, outside: httpx.Client, opened: dict[str, str]
) -> None:
    ended.clear()
    headers = {"X-Desktop-Sandbox-Token": opened["token"]}
    with outside.stream("GET", "/events", headers=headers) as answer:
        lines = answer.iter_text()
        assert next(lines).startswith("data: 0")
        assert live.node.dialled == 1
    assert ended.wait(20), "the guest's server notices"
    wait_for(lambda: live.node.dialled == 0)


def test_where_nothing_answers_a_page_tries_again(
    live: Live, outside: httpx.Client, http: httpx.Client, box: str
) -> None:
    sandbox = box.rpartition("/")[2]
    http.post(f"{box}/ports/4000/address", json={"public": True})
    silent = {"host": f"4000-{sandbox}.localhost"}
    problem(outside.get("/", headers=silent), 502, "nothing-there")
    page = outside.get("/", headers={**silent, "accept": "text/html"})
    assert (page.status_code, page.headers["content-type"]) == (502, "text/html; charset=utf-8")
    assert "nothing answers on port 4000" in page.text
    assert 'http-equiv="refresh"' in page.text
    nobody = {"host": "80-sb-none.localhost", "x-desktop-sandbox-token": KEY}
    problem(outside.get("/", headers=nobody), 404, "not-found")


def test_what_speaks_no_http_is_told(live: Live, outside: httpx.Client, http: httpx.Client, box: str) -> None:
    def answer(listener: socket.socket) -> None:
        with listener.accept()[0] as peer:
            peer.recv(100)
            peer.sendall(b"220 mail.example ESMTP\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer, args=(listener,), daemon=True).start()
        live.node.guest_ports[25] = listener.getsockname()[1]
        http.post(f"{box}/ports/25/address", json={"public": True})
        told = outside.get("/", headers={"host": f"25-{box.rpartition('/')[2]}.localhost"})
    problem(told, 502, "guest-server")
    assert "forward" in told.json()["hint"]


def talking(outside: httpx.Client, path: str, **more: object) -> ClientConnection:
    host = outside.headers["host"]
    port = int(host.rpartition(":")[2])
    return connect(f"ws://{host}{path}", sock=socket.create_connection(("127.0.0.1", port)), proxy=None, **more)


def test_websockets(outside: httpx.Client, opened: dict[str, str]) -> None:
    with pytest.raises(InvalidStatus):
        talking(outside, "/talk")
    header = {"Cookie": f"desktop-sandbox-port={opened['token']}; theirs=1"}
    with talking(
        outside, "/talk", additional_headers=header, subprotocols=["one", "two"], origin="http://a.example"
    ) as ws:
        assert ws.subprotocol == "two"
        hello = ws.recv(timeout=20)
        assert '"origin":"http://a.example"' in str(hello)
        assert '"cookie":"theirs=1"' in str(hello)
        ws.send("hällo")
        assert [ws.recv(timeout=20), ws.recv(timeout=20)] == ["<hällo>", "hällo".encode()]
        ws.send("end")
        with pytest.raises(ConnectionClosed):
            ws.recv(timeout=20)
        assert (ws.close_code, ws.close_reason) == (1012, "over")
    with pytest.raises(InvalidStatus):
        talking(outside, "/refuse", additional_headers=header)


def test_a_websocket_that_leaves_is_gone_in_the_guest(
    live: Live, outside: httpx.Client, opened: dict[str, str]
) -> None:
    ended.clear()
    ws = talking(outside, "/talk", additional_headers={"X-Desktop-Sandbox-Token": opened["token"]})
    ws.recv(timeout=20)
    ws.close()
    assert ended.wait(20)
    wait_for(lambda: live.node.dialled == 0)


@given(st.integers(1, 65535), st.from_regex(r"[a-z0-9][a-z0-9-]{0,40}", fullmatch=True))
def test_hosts_are_read_as_they_are_written(port: int, sandbox: str) -> None:
    there = GuestPort(sandbox, port)
    assert read_host(write_host(there, "localhost").upper() + ":8700", "localhost") == there
    assert read_host(write_host(there, "example.org"), "localhost") is None


def test_other_hosts_are_the_servers_own() -> None:
    for host in (
        "",
        "localhost:8700",
        "0-sb-1.localhost",
        "70000-sb-1.localhost",
        "8080.localhost",
        "08-a.localhost",
        "8-.localhost",
    ):
        assert read_host(host, "localhost") is None
    there = GuestPort("sb-1", 80)
    assert address(there, "p.example", "https://desks.example") == "https://80-sb-1.p.example/"
    assert address(there, "localhost", "http://[::1]:8700") == "http://80-sb-1.localhost:8700/"
