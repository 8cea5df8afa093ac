"""Archives, parts of files, watches and signed links over HTTP."""

from __future__ import annotations

import io
import json
import tarfile
import time
from urllib.parse import urlsplit

import httpx
import pytest

from desktop_sandbox import errors
from desktop_sandbox.api import file_links
from desktop_sandbox.api.byte_ranges import RangeError, part_of
from desktop_sandbox.api.file_links import FileLink, file_name
from desktop_sandbox.api.signing import derive_key
from desktop_sandbox.node.reach_interface import FileChange
from tests.api.test_routes import problem, wait_for
from tests.live_server import Live


def put(http: httpx.Client, box: str, path: str, content: bytes) -> None:
    assert http.put(f"{box}/files", params={"path": path}, content=content).status_code == 200


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (None, None),
        ("bytes=0-", (0, 10)),
        ("bytes=3-5", (3, 3)),
        ("bytes=9-100", (9, 1)),
        ("bytes=-4", (6, 4)),
        ("bytes=-40", (0, 10)),
        ("bytes=5-3", None),
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("pages=1-2", None),
        ("bytes=x-", None),
    ],
)
def test_parts(header: str | None, part: tuple[int, int] | None) -> None:
    assert part_of(header, 10) == part


@pytest.mark.parametrize(("header", "size"), [("bytes=10-", 10), ("bytes=0-", 0), ("bytes=-0", 10), ("bytes=-5", 0)])
def test_parts_that_are_not_there(header: str, size: int) -> None:
    with pytest.raises(RangeError):
        part_of(header, size)


def test_a_part_of_a_file(http: httpx.Client, box: str) -> None:
    put(http, box, "/tmp/a", bytes(range(200)))
    where = {"path": "/tmp/a"}
    answer = http.get(f"{box}/files", params=where, headers={"Range": "bytes=50-59"})
    assert (answer.status_code, answer.content) == (206, bytes(range(50, 60)))
    assert answer.headers["content-range"] == "bytes 50-59/200"
    problem(http.get(f"{box}/files", params=where, headers={"Range": "bytes=200-"}), 416, "range")
    assert http.get(f"{box}/files", params=where).status_code == 200


def test_a_folder_there_and_back(http: httpx.Client, box: str) -> None:
    put(http, box, "/home/user/ä/one", b"1" * 5000)
    put(http, box, "/home/user/ä/deep/two", b"2")
    http.post(f"{box}/files/mkdir", json={"path": "/home/user/ä"})
    answer = http.get(f"{box}/files/archive", params={"path": "/home/user/ä"})
    assert answer.headers["content-type"] == "application/x-tar"
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        assert sorted(tar.getnames()) == ["./deep/two", "./one"]
    info = http.put(f"{box}/files/archive", params={"path": "/tmp/copy"}, content=answer.content)
    assert info.json()["type"] == "directory"
    assert http.get(f"{box}/files", params={"path": "/tmp/copy/one"}).content == b"1" * 5000
    problem(http.put(f"{box}/files/archive", params={"path": "/tmp/c"}, content=b"no tar" * 99), 422, "invalid-request")
    problem(http.get(f"{box}/files/archive", params={"path": "/none"}), 404, "not-found")


def test_an_upload_with_a_key_is_done_once(http: httpx.Client, live: Live, box: str) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w"):
        pass
    for _ in range(2):
        answer = http.put(
            f"{box}/files/archive", params={"path": "/x"}, content=out.getvalue(), headers={"Idempotency-Key": "k1"}
        )
        assert answer.status_code == 200
    assert live.node.calls.count("write_archive") == 1


def test_watch(http: httpx.Client, live: Live, box: str) -> None:
    moved = FileChange("moved", "/tmp/b", False, "/tmp/a")
    with http.stream("GET", f"{box}/files/watch", params={"path": "/tmp", "recursive": "true"}) as answer:
        lines = answer.iter_lines()
        assert json.loads(next(lines)) == {"event": "ready", "path": "/tmp", "folder": False, "from": None}
        live.loop.call_soon_threadsafe(live.node.changes.put_nowait, moved)
        assert json.loads(next(lines)) == {"event": "moved", "path": "/tmp/b", "folder": False, "from": "/tmp/a"}
    wait_for(lambda: live.node.watches_ended == 1)
    with http.stream("GET", f"{box}/files/watch", params={"path": "/tmp"}) as answer:
        lines = answer.iter_lines()
        next(lines)
        live.loop.call_soon_threadsafe(live.node.changes.put_nowait, errors.ChannelError("broken"))
        assert json.loads(next(lines))["problem"]["detail"] == "broken"
    problem(http.get(f"{box}/files/watch", params={"path": "/none"}), 404, "not-found")


def link(http: httpx.Client, box: str, **body: object) -> str:
    answer = http.post(f"{box}/files/links", json=body)
    assert answer.status_code == 201, answer.text
    parts = urlsplit(answer.json()["url"])
    assert parts.path.startswith("/v1/links/dsf_")
    return parts.path


def test_links(http: httpx.Client, live: Live, box: str) -> None:
    put(http, box, "/home/user/page.html", b"<script>x</script>")
    http.post(f"{box}/files/mkdir", json={"path": "/home/user"})
    reading = link(http, box, path="/home/user/page.html")
    writing = link(http, box, path="/home/user/new", access="write", expires_in=60)
    archive = link(http, box, path="/home/user", access="archive")
    with httpx.Client(base_url=live.url) as anybody:
        answer = anybody.get(reading)
        assert (answer.content, answer.headers["content-length"]) == (b"<script>x</script>", "18")
        assert answer.headers["content-disposition"] == 'attachment; filename="page.html"'
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "sandbox"
        assert anybody.get(reading, headers={"Range": "bytes=1-6"}).content == b"script"
        assert anybody.put(writing, content=b"new").json()["size_bytes"] == 3
        with tarfile.open(fileobj=io.BytesIO(anybody.get(archive).content)) as tar:
            assert "./page.html" in tar.getnames()
        problem(anybody.put(reading, content=b"x"), 403, "not-allowed")
        problem(anybody.get(writing), 403, "not-allowed")
        problem(anybody.get(f"{reading}x"), 401, "authentication")
        problem(anybody.get(reading.replace("dsf_", "dsf_x")), 401, "authentication")
        problem(anybody.get("/v1/links/dsf_x.y"), 401, "authentication")
        problem(anybody.get(f"{box}/files", params={"path": "/home/user/new"}), 401, "authentication")
    problem(http.post(f"{box}/files/links", json={"path": "/x", "expires_in": 9e9}), 422, "invalid-request")
    problem(http.post(f"{box}/files/links", json={"path": "/x", "access": "all"}), 422, "invalid-request")
    assert http.get(f"{box}/files", params={"path": "/home/user/new"}).content == b"new"


def test_a_link_expires_and_says_nothing_else() -> None:
    key = derive_key(b"s" * 32, file_links.PURPOSE)
    given = FileLink("sb1", "/tmp/ä", "user", "read", time.time() + 10)
    text = file_links.sign(given, key)
    assert file_links.verify(text, key, time.time()) == given
    with pytest.raises(errors.AuthenticationError, match="expired"):
        file_links.verify(text, key, given.expires_at)
    with pytest.raises(errors.AuthenticationError, match="not valid"):
        file_links.verify(text, derive_key(b"t" * 32, file_links.PURPOSE), time.time())
    body, _, signature = text.partition(".")
    for other in (
        "",
        "dsf_",
        "dsf_.",
        f"{body}.",
        f"{body}.{signature}=",
        f"{body[:-2]}.{signature}",
        "dst_x.y",
        "dsf_ü.ü",
    ):
        with pytest.raises(errors.AuthenticationError):
            file_links.verify(other, key, time.time())


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/home/user/a b.txt", "a b.txt"),
        ('/x/q"uote\r\nSet-Cookie: x', "q_uote__Set-Cookie_ x"),
        ("/x/ü/", "_"),
        ("/", "download"),
        ("/x/..", "download"),
    ],
)
def test_names_of_downloads(path: str, name: str) -> None:
    assert file_name(path, "read") == name
    assert file_name(path, "archive") == f"{name}.tar"
