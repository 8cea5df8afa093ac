from __future__ import annotations

import pytest

from desktop_sandbox.sdk import generate


def test_the_synchronous_sdk_is_up_to_date() -> None:
    assert generate.main(["--check"]) == 0


def test_await_and_async_go_and_names_change() -> None:
    used: set[str] = set()
    source = (
        'async def f(c: AsyncConnection) -> None:\n    """Make an AsyncSandbox with `async with`."""\n'
        "    async with c:\n        await c.aclose(); x = [await c.aread(), 'await it']\n"
    )
    assert generate.convert(source, used) == (
        'def f(c: Connection) -> None:\n    """Make an Sandbox with `with`."""\n'
        "    with c:\n        c.close(); x = [c.read(), 'it']\n"
    )
    assert used == {"AsyncConnection", "AsyncSandbox", "aclose", "aread"} - {"AsyncSandbox"}


def test_a_rename_that_nothing_uses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(generate.RENAMES, "AsyncNothing", "Nothing")
    with pytest.raises(SystemExit, match="AsyncNothing"):
        generate.main(["--check"])
