"""Routes about elements and windows, over the fake node."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.live_server import Live


def problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    document = answer.json()
    assert document["type"].endswith(f":{slug}")
    return document


def test_the_tree_as_json_and_as_an_outline(http: httpx.Client, box: str) -> None:
    tree = http.get(f"{box}/tree").json()
    assert tree["window"] == "files"
    assert tree["apps"] == [{"name": "Thunar", "pid": 7, "error": None}]
    assert tree["elements"][3] == {
        "id": "1.7/3", "app": 0, "depth": 3, "role": "button", "name": "Open", "description": "", "value": None,
        "states": ["focusable"], "bounds": {"x": 10, "y": 10, "width": 40, "height": 20}, "actions": ["click"],
        "more": 0,
    }  # fmt: skip
    answer = http.get(f"{box}/tree", params={"format": "text", "scope": "all"})
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text.splitlines() == [
        '[1.7/root] application "Thunar"',
        '  [1.7/1] frame "files" (active) @1,2 300x200',
        '    [1.7/3] button "Open" @10,10 40x20',
        '    [1.7/4] entry "Path" = "/home" (editable) @60,10 90x20',
        "! gimp: has not answered for 5.0 s",
    ]
    assert http.get(f"{box}/tree", params={"nodes": 2}).json()["truncated"] == ["nodes"]
    assert "apps here: Thunar" in problem(http.get(f"{box}/tree", params={"app": "word"}), 404, "not-found")["hint"]


@pytest.mark.parametrize(
    "wrong", [{"nodes": 0}, {"nodes": 10**6}, {"timeout": 0}, {"scope": "some"}, {"depth": "deep"}, {"format": "xml"}]
)
def test_bounds_of_a_tree_are_checked(http: httpx.Client, box: str, wrong: dict[str, Any]) -> None:
    problem(http.get(f"{box}/tree", params=wrong), 422, "invalid-request")


def test_elements_are_found_and_acted_on(http: httpx.Client, live: Live, box: str) -> None:
    found = http.get(f"{box}/elements", params={"role": "button", "name": "op", "state": ["focusable"]}).json()
    assert [each["id"] for each in found["elements"]] == ["1.7/3"]
    assert found["total"] == 1
    assert "Open" in problem(http.get(f"{box}/elements", params={"role": "link"}), 404, "not-found")["hint"]

    def do(**body: Any) -> httpx.Response:
        return http.post(f"{box}/elements", json={"id": "1.7/4", **body})

    clicked = do(do="click", count=2).json()
    assert (clicked["x"], clicked["y"]) == (105, 20)
    assert do(do="set", value="/tmp").json()["element"]["value"] == "/tmp"
    assert "focused" in do(do="focus").json()["element"]["states"]
    assert do(do="look").json()["x"] is None
    assert http.post(f"{box}/elements", json={"id": "1.7/3", "do": "invoke", "action": "click"}).status_code == 200
    problem(do(do="invoke", action="fly"), 422, "invalid-request")
    problem(do(do="set"), 422, "invalid-request")
    problem(do(do="click", value="x"), 422, "invalid-request")
    problem(do(do="lick"), 422, "invalid-request")
    problem(do(do="click", count=9), 422, "invalid-request")
    gone = problem(http.post(f"{box}/elements", json={"id": "1.9/9", "do": "click"}), 404, "not-found")
    assert gone["hint"] == "read the tree again"


def test_a_click_that_is_asked_for_twice_is_done_once(http: httpx.Client, live: Live, box: str) -> None:
    for _ in range(2):
        http.post(f"{box}/elements", json={"id": "1.7/3", "do": "click"}, headers={"Idempotency-Key": "k"})
    assert live.node.calls.count("element click") == 1


def test_windows_are_changed(http: httpx.Client, box: str) -> None:
    def do(**body: Any) -> httpx.Response:
        return http.post(f"{box}/windows", json={"window": "files", **body})

    moved = do(do="move", x=-4, y=40).json()
    assert moved["done"]
    assert (moved["window"]["x"], moved["window"]["y"]) == (-4, 40)
    assert do(do="minimize").json()["window"]["states"] == ["minimised"]
    assert do(do="close").json()["window"] is None
    missing = problem(do(do="activate", window="word"), 404, "not-found")
    assert "'files' (Thunar, 2097153)" in missing["hint"]
    for wrong in ({"do": "move", "x": 1}, {"do": "resize"}, {"do": "close", "x": 1, "y": 1}, {"do": "explode"}):
        problem(do(**wrong), 422, "invalid-request")


def test_an_app_is_started_and_its_window_awaited(http: httpx.Client, box: str) -> None:
    opened = http.post(f"{box}/launch/window", json={"app": "xterm"}).json()
    assert opened["pid"] == 1001
    assert opened["window"]["title"] == "xterm"
