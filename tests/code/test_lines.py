"""What a code context hears and says, in the guest and read on the host: any pieces, any nonsense."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from desktop_sandbox.api.code_lines import Gathered, Lines, end_of, line_of
from desktop_sandbox.errors import GuestError
from guest_image.code.lines import BadRequestError, Execute, output, read_request, write_line


def test_requests() -> None:
    line = json.dumps({"op": "execute", "id": "a", "code": "x", "timeout_ms": 1500}).encode()
    assert read_request(line) == Execute("a", "x", 1.5)
    assert read_request(b'{"op":"execute","id":"a","code":"x"}') == Execute("a", "x", None)
    assert read_request(b'{"op":"interrupt"}') == "interrupt"
    for wrong in (b"", b"{", b"[]", b'{"op":"fly"}', b'{"op":"execute","id":1,"code":"x"}'):
        with pytest.raises(BadRequestError):
            read_request(wrong)


def test_what_a_kernel_says_is_passed_on_without_colours() -> None:
    error = {"ename": "E", "evalue": "v", "traceback": ["\x1b[31;1mred\x1b[0m"], "more": 1}
    assert output("a", "error", error) == {
        "t": "output", "id": "a", "type": "error", "ename": "E", "evalue": "v", "traceback": ["red"],
    }  # fmt: skip
    assert output("a", "comm_open", {}) is None


@given(some.lists(some.dictionaries(some.text(), some.text() | some.integers())), some.data())
def test_messages_in_any_pieces(messages: list[dict[str, Any]], data: some.DataObject) -> None:
    whole = b"".join(write_line(**{f"k{name}": value for name, value in each.items()}) for each in messages)
    cuts = sorted(data.draw(some.lists(some.integers(0, len(whole)))))
    lines, found = Lines(), []
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        found += lines.feed(whole[start:end])
    assert found == [{f"k{name}": value for name, value in each.items()} for each in messages]


def test_what_is_no_message_is_left_out_and_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = Lines()
    assert lines.feed(b'half of one"}\n[1]\n\xff\n{"t":"done"}\n') == [{"t": "done"}]
    monkeypatch.setattr("desktop_sandbox.api.code_lines.MAX_LINE_BYTES", 10)
    with pytest.raises(GuestError):
        lines.feed(b"12345678901")


@given(
    some.dictionaries(
        some.sampled_from(["type", "name", "text", "data", "ename", "evalue", "traceback", "transient"]),
        some.recursive(
            some.none() | some.integers() | some.sampled_from(["stream", "error", "display_data", "execute_result"]),
            lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
        ),
    )
)
def test_a_guest_that_says_anything_breaks_nothing(message: dict[str, Any]) -> None:
    gathered = Gathered()
    gathered.add(message)
    json.dumps(gathered.json(message, "code-0"))


def test_a_display_that_is_updated_is_one_result() -> None:
    gathered = Gathered()

    def display(kind: str, text: str, name: str | None) -> None:
        transient = {} if name is None else {"display_id": name}
        gathered.add({"type": kind, "data": {"text/plain": text}, "transient": transient})

    display("display_data", "1 %", "bar")
    display("display_data", "other", None)
    display("update_display_data", "100 %", "bar")
    display("update_display_data", "?", "of earlier code")
    shown = [each["data"]["text/plain"] for each in gathered.json({"status": "ok", "count": 1}, "c")["results"]]
    assert shown == ["100 %", "other"]
    gathered.add({"type": "clear_output"})
    assert gathered.json({}, "c")["results"] == []


def test_ends() -> None:
    assert end_of({"status": "fine", "count": "x"}, "c") == {"status": "error", "count": None, "context": "c"}
    assert line_of({"type": "stream", "name": "other", "text": "x"}) == {"stream": "stdout", "text": "x"}
