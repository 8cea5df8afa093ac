"""Settings of the live view, the pages' headers, and calls from pages elsewhere."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import httpx
import pytest

from desktop_sandbox.api.pages import FOLDER, Pages
from desktop_sandbox.errors import ConfigurationError, NotFoundError
from desktop_sandbox.stream_settings import StreamSettings, stream_settings
from tests.live_server import Live, serving
from tests.stream.fake_streamer import FakeStreamer

P = "DESKTOP_SANDBOX_"


def test_good_settings() -> None:
    found = stream_settings(
        {
            P + "ICE_SERVERS": '[{"urls": ["turn:t.example:3478?transport=udp"], "username": "u", "credential": "c"}]',
            P + "UDP_PORTS": "40000-40199",
            P + "PUBLIC_ADDRESS": "203.0.113.7",
            P + "BASE_URL": "https://desktops.example.org/",
            P + "ALLOWED_ORIGINS": "https://App.example.org, http://localhost:3000",
            P + "FRAME_ANCESTORS": "'self' https://app.example.org",
        }
    )
    assert found.ice_servers[0]["username"] == "u"
    assert found.udp_ports == (40000, 40199)
    assert found.base_url == "https://desktops.example.org"
    assert found.allows_origin("https://app.example.org")
    assert not found.allows_origin("https://other.example.org")
    assert stream_settings({}) == StreamSettings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ICE_SERVERS", "stun:x"),
        ("ICE_SERVERS", '{"urls": "stun:x"}'),
        ("ICE_SERVERS", '[{"urls": "http://x"}]'),
        ("ICE_SERVERS", "[7]"),
        ("UDP_PORTS", "5"),
        ("UDP_PORTS", "80-90"),
        ("UDP_PORTS", "40000-40001"),
        ("UDP_PORTS", "50000-40000"),
        ("PUBLIC_ADDRESS", "example.org"),
        ("BASE_URL", "desktops.example.org"),
        ("ALLOWED_ORIGINS", "example.org"),
        ("FRAME_ANCESTORS", "*; script-src *"),
        ("TLS_CERT", "/nowhere.pem"),
        ("MAX_RECORDING_BYTES", "1"),
    ],
)
def test_bad_settings_say_what_is_wrong_and_what_is_right(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        stream_settings({P + name: value})
    assert caught.value.hint


def test_pages_need_no_key_and_are_guarded(live: Live) -> None:
    for path, ancestors in (("/view/sb-anything", "*"), ("/wall", "'none'"), ("/viewer/view.js", "'none'")):
        answer = httpx.get(live.url + path)
        assert answer.status_code == 200, path
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert policy.endswith(f"frame-ancestors {ancestors}")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        again = httpx.get(live.url + path, headers={"If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304
        assert again.content == b""
    assert httpx.get(live.url + "/viewer/view.js").headers["content-type"].startswith("text/javascript")
    assert httpx.get(live.url + "/view/sb-x").headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    "path",
    [
        "/viewer/../pyproject.toml",
        "/viewer/%2e%2e/pyproject.toml",
        "/viewer/..%2fpyproject.toml",
        "/viewer//etc/passwd",
        "/viewer/%2fetc%2fpasswd",
        "/viewer/package.json",
        "/viewer/.npmrc",
        "/viewer/node_modules/typescript/package.json",
        "/viewer/",
        "/viewer/view.js%00",
    ],
)
def test_no_path_leads_out_of_the_viewer(live: Live, path: str) -> None:
    with httpx.Client() as client:
        answer = client.send(httpx.Request("GET", live.url + path, extensions={"target": path.encode()}))
    assert answer.status_code in (401, 404), path
    assert b"hatchling" not in answer.content


def test_a_page_is_read_again_when_it_changed(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("one")
    (tmp_path / "secret.key").write_text("no")
    (tmp_path / "link.js").symlink_to("/etc/passwd")
    pages = Pages(tmp_path)
    first = pages.get("a.js")
    (tmp_path / "a.js").write_text("two")
    import os

    os.utime(tmp_path / "a.js", (1, 1))
    assert pages.get("a.js").data == b"two"
    assert pages.get("a.js").etag != first.etag
    for name in ("secret.key", "link.js", "../a.js", "b.js"):
        with pytest.raises(NotFoundError):
            pages.get(name)
    assert (FOLDER / "view.html").exists()


def test_only_pages_that_are_allowed_may_call_from_elsewhere(tmp_path: Path) -> None:
    settings = StreamSettings(allowed_origins=("https://app.example",), base_url="https://desk.example")
    with serving(tmp_path, launch=FakeStreamer().launch, stream=settings) as live:
        box = httpx.post(f"{live.url}/v1/sandboxes", json={}, headers=live.headers).json()["id"]
        whep = f"{live.url}/v1/sandboxes/{box}/stream/whep"
        asks: dict[str, Any] = {"Access-Control-Request-Method": "POST", "Origin": "https://app.example"}
        preflight = httpx.options(whep, headers=asks)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == "https://app.example"
        assert "Authorization" in preflight.headers["access-control-allow-headers"]
        answer = httpx.post(
            whep,
            content="v=0\r\n",
            headers={**live.headers, "Origin": "https://app.example", "Content-Type": "application/sdp"},
        )
        assert answer.status_code == 201
        assert "Location" in answer.headers["access-control-expose-headers"]
        other = httpx.options(whep, headers={**asks, "Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
        assert httpx.options(whep).headers["accept-post"] == "application/sdp"
        refused = httpx.get(f"{live.url}/v1/sandboxes", headers={"Origin": "https://app.example"})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://app.example"
        url = httpx.post(f"{live.url}/v1/sandboxes/{box}/tokens", json={}, headers=live.headers).json()["url"]
        assert url.startswith(f"https://desk.example/view/{box}#token=dst_")


def test_a_screenshot_that_did_not_change_is_not_sent_again(http: httpx.Client, box: str) -> None:
    first = http.get(f"{box}/screenshot")
    again = http.get(f"{box}/screenshot", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = http.get(f"{box}/screenshot?format=raw", headers={"If-None-Match": first.headers["etag"]})
    assert other.status_code == 200


def test_a_token_and_its_page_never_reach_the_log(
    live: Live, http: httpx.Client, box: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = http.post(f"{box}/tokens", json={}).json()
    with caplog.at_level("DEBUG"):
        logging.getLogger("desktop_sandbox.test").debug("what the server logs is seen here")
        httpx.get(made["url"])
        httpx.get(f"{live.url}{box}/stream", headers={"Authorization": f"Bearer {made['token']}"})
        httpx.get(f"{live.url}{box}", headers={"Authorization": f"Bearer {made['token']}"})
    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert ours
    assert not any(made["token"] in record.getMessage() for record in ours)


def test_ice_servers_reach_the_page_and_the_media_process(tmp_path: Path) -> None:
    servers = ({"urls": ["turn:t.example:3478"], "username": "u", "credential": "c"},)
    streamer = FakeStreamer()
    with serving(tmp_path, launch=streamer.launch, stream=StreamSettings(ice_servers=servers)) as live:
        with httpx.Client(base_url=live.url, headers=live.headers) as http:
            box = f"/v1/sandboxes/{http.post('/v1/sandboxes', json={}).json()['id']}"
            assert http.get(f"{box}/stream").json()["ice_servers"] == list(servers)
            offer = {"Content-Type": "application/sdp"}
            assert http.post(f"{box}/stream/whep", content="v=0\r\n", headers=offer).status_code == 201
        assert streamer.asked("configure")[0]["ice_servers"] == list(servers)
