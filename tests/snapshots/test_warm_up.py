"""What a template is warmed up with: in turn, and what goes on beside the next ones is waited for at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from desktop_sandbox.errors import MachineError
from desktop_sandbox.snapshots.build import warm_up
from guest_image.recipe import Condition, WarmUp, load_recipe

RECIPE = replace(
    load_recipe("minimal"),
    ready=(),
    warm_up=(
        WarmUp(("slow",), (Condition(file="/slow"),), beside=True),
        WarmUp(("first",), (Condition(file="/first"),)),
        WarmUp(("second",), (Condition(file="/second"),)),
    ),
)


class Guest:
    """A guest in which /slow is there once `second` was started; `fails` never comes."""

    def __init__(self, fails: str = "") -> None:
        self.did: list[str] = []
        self._fails = fails
        self._second = asyncio.Event()

    async def set_identity(self, *_: Any, **__: Any) -> None:
        """Nothing."""

    async def launch(self, argv: Sequence[str], **_: Any) -> None:
        self.did.append(argv[0])
        if argv[0] == "second":
            self._second.set()

    async def wait_for(self, conditions: list[dict[str, str]], _timeout_s: float) -> None:
        for condition in conditions:
            file = condition["file"]
            if file == self._fails:
                raise MachineError(f"{file} did not come")
            if file == "/slow":
                await asyncio.wait_for(self._second.wait(), 10)
            self.did.append(file)


async def test_the_next_do_not_wait_for_what_is_beside_and_the_template_does() -> None:
    guest = Guest()
    await warm_up(guest, RECIPE, lambda _: None)  # type: ignore[arg-type]
    assert [each for each in guest.did if each != "/slow"] == ["slow", "first", "/first", "second", "/second"]
    assert guest.did.index("/slow") > guest.did.index("second")


@pytest.mark.parametrize("fails", ["/slow", "/first"])
async def test_what_does_not_come_is_told_wherever_it_is_waited_for(fails: str) -> None:
    with pytest.raises(MachineError, match=f"{fails} did not come"):
        await warm_up(Guest(fails), RECIPE, lambda _: None)  # type: ignore[arg-type]
