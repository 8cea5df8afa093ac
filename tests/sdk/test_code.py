"""Code that keeps its state through the SDK, both kinds of it."""

from __future__ import annotations

import pytest

from desktop_sandbox import AsyncSandbox, ConflictError, InvalidRequestError, Sandbox
from desktop_sandbox.sdk.code import CodeResult
from tests.fake_code import PICTURE
from tests.live_server import Live


def test_run_code(live: Live) -> None:
    with Sandbox.create() as desktop:
        desktop.run_code("set 42")
        assert desktop.run_code("get").text == "42"
        (shown,) = desktop.run_code("show").results
        assert shown.png == PICTURE
        assert shown.table == [{"a": 1}]
        assert (shown.text, shown.html, shown.chart) == (None, None, None)
        raised = desktop.run_code("raise")
        assert raised.status == "error"
        assert raised.error is not None
        assert (raised.error.name, raised.error.traceback) == ("ValueError", "one\ntwo")


def test_it_is_told_as_it_comes(live: Live) -> None:
    said: list[str] = []
    results: list[CodeResult] = []
    with Sandbox.create() as desktop:
        done = desktop.run_code("flood 3", on_stdout=said.append)
        assert (said, done.stdout) == (["x" * 1000] * 3, "x" * 3000)
        desktop.run_code("warn oh", on_stderr=said.append)
        assert said[-1] == "oh"
        assert desktop.run_code("show", on_result=results.append).results == results
        assert desktop.run_code("raise", on_result=results.append).error is not None


async def test_contexts(live: Live) -> None:
    async with await AsyncSandbox.create() as desktop:
        context = await desktop.code.create_context("bash", cwd="/tmp", env={"A": "b"})
        assert (context.language, context.running) == ("bash", True)
        await desktop.run_code("set 1", context=context)
        assert (await desktop.code.run("get", context=context.id)).text == "1"
        await desktop.code.interrupt(context)
        await desktop.code.restart(context)
        assert (await desktop.code.run("get", context=context)).text == ""
        assert [each.id for each in await desktop.code.contexts()] == [context.id]
        await desktop.code.remove(context)
        with pytest.raises(ConflictError):
            await desktop.run_code("get", context=context)
        with pytest.raises(InvalidRequestError, match="cobol"):
            await desktop.code.create_context("cobol")
