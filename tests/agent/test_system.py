"""Identity, freezing, the display's pages, the session's coming and going."""

from __future__ import annotations

import asyncio
import base64
import fcntl
import os
from array import array
from dataclasses import replace

import pytest

from desktop_sandbox.errors import DeadlineError, GuestError, InvalidRequestError
from guest_image.agent import pages
from guest_image.agent.errors import OpError
from guest_image.agent.state_page import FILE_BYTES, ScreenState, pack

STATE = ScreenState(
    seq=2, width=1280, height=800, max_width=1920, max_height=1200, stride_bytes=7680, generation=1,
    cursor_x=10, cursor_y=20, cursor_serial=1, cursor_width=0, cursor_height=0, hot_x=0, hot_y=0, session_pid=77,
)  # fmt: skip


def start_session(guest, state=STATE):
    for name, data in (("Xvfb_screen0", os.urandom(1 << 20)), ("state", pack(state).ljust(FILE_BYTES, b"\0"))):
        (guest.session / f"{name}.new").write_bytes(data)
        (guest.session / f"{name}.new").rename(guest.session / name)


@pytest.fixture
def identity(guest, monkeypatch):
    calls = []
    monkeypatch.setattr(fcntl, "ioctl", lambda fd, number, value=0: calls.append((number, value)))
    (guest.etc / "hosts").write_text("127.0.0.1 localhost\n127.0.1.1 template\n")
    (guest.folder / "dbus-machine-id").write_text("old\n")
    return calls


def asked(**changes):
    return {
        "generation": 3, "wall_ns": 10**18, "entropy_b64": base64.b64encode(bytes(range(64))).decode(),
        "hostname": "desktop-7", "machine_id": "0123456789abcdef" * 2, "thaw": True, **changes,
    }  # fmt: skip


async def test_identity(guest, channel, identity):
    assert await channel.request("identity.set", asked()) == {}
    (add, pool), (reseed, _) = identity
    assert (add, reseed) == (0x40085203, 0x5207)
    assert pool == (512).to_bytes(4, "little") + (64).to_bytes(4, "little") + bytes(range(64))
    assert not (guest.etc / "hostname").exists()  # comes before anything but an action is asked
    assert (await channel.request("guest.info"))["generation"] == 3
    assert (guest.etc / "hostname").read_text() == "desktop-7\n"
    assert (guest.etc / "machine-id").read_text() == "0123456789abcdef" * 2 + "\n"
    assert (guest.folder / "dbus-machine-id").read_text() == "0123456789abcdef" * 2 + "\n"
    assert (guest.etc / "hosts").read_text() == "127.0.0.1 localhost\n127.0.1.1\tdesktop-7\n"


@pytest.mark.parametrize(
    "wrong",
    [{"hostname": "a b"}, {"hostname": ""}, {"machine_id": "X" * 32}, {"entropy_b64": "!"}, {"entropy_b64": "AAAA"}],
)
async def test_wrong_identity_changes_nothing(guest, channel, identity, wrong):
    with pytest.raises(InvalidRequestError):
        await channel.request("identity.set", asked(**wrong))
    assert not identity
    assert not (guest.etc / "hostname").exists()


async def test_the_clock_and_the_names_come_by_themselves_and_before_the_programs_run(guest, channel, identity):
    folders = make_cgroups(guest)
    for folder in folders:
        (folder / "cgroup.freeze").write_text("1")
    await channel.request("identity.set", asked())
    assert {(folder / "cgroup.freeze").read_text() for folder in folders} == {"1"}
    while not (guest.etc / "machine-id").exists():
        await asyncio.sleep(0.01)
    while any((folder / "cgroup.freeze").read_text()[0] == "1" for folder in folders):
        await asyncio.sleep(0.01)


async def test_who_is_about_to_act_may_keep_the_programs_waiting_for_longer(guest, channel, identity):
    folders = make_cgroups(guest)
    for folder in folders:
        (folder / "cgroup.freeze").write_text("1")
    await channel.request("identity.set", asked(thaw_within_ms=1500))
    await asyncio.sleep(0.6)
    assert {(folder / "cgroup.freeze").read_text() for folder in folders} == {"1"}
    assert not (guest.etc / "machine-id").exists()
    await channel.request("guest.info")  # whatever is no action ends that
    assert {(folder / "cgroup.freeze").read_text()[0] for folder in folders} == {"0"}


async def test_full_disk_stops_no_identity(guest, channel, identity, monkeypatch):
    real = os.pwrite

    def full(fd, data, offset):
        if bytes(data) == b"desktop-7\n":
            raise OSError(28, "No space left on device")
        return real(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    assert await channel.request("identity.set", asked(thaw=False)) == {}
    assert (guest.etc / "hostname").read_text() == ""
    assert (guest.etc / "machine-id").read_text()
    assert [number for number, _ in identity] == [0x40085203, 0x5207]


def make_cgroups(guest):
    folders = []
    for name in ("system.slice/desktop-session.service/apps", "user.slice/user-0.slice"):
        folder = guest.folder / "cgroup" / name
        folder.mkdir(parents=True)
        (folder / "cgroup.freeze").write_text("0")
        (folder / "cgroup.events").write_text("populated 1\nfrozen 0\n")
        folders.append(folder)
    return folders


async def test_quiesce_and_thaw(guest, channel):
    folders = make_cgroups(guest)
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(channel.request("guest.quiesce", {"freeze": True, "deadline_ms": 5000}))
        while any((folder / "cgroup.freeze").read_text() == "0" for folder in folders):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert not asking.done()
        for folder in folders:
            (folder / "cgroup.events").write_text("populated 1\nfrozen 1\n")
    assert asking.result() == {"frozen": True}
    assert await channel.request("guest.thaw") == {}
    assert [(folder / "cgroup.freeze").read_text() for folder in folders] == ["0", "0"]


async def test_what_does_not_freeze_in_time_runs_on(guest, channel):
    folders = make_cgroups(guest)
    assert await channel.request("guest.quiesce", {"deadline_ms": 1000}) == {"frozen": False}
    assert [(folder / "cgroup.freeze").read_text() for folder in folders] == ["0", "0"]


async def test_display(guest, channel, needs_root):
    with pytest.raises(GuestError, match="session is not up"):
        await channel.request("display.get")
    start_session(guest)
    display = await channel.request("display.get")
    assert (display["width"], display["height"], display["stride_bytes"]) == (1280, 800, 7680)
    assert display["framebuffer"]["size"] == 1 << 20
    for name in ("framebuffer", "state"):
        assert sum(length for _, length in display[name]["runs"]) == display[name]["size"]
        assert all(address % 4096 == 0 for address, _ in display[name]["runs"])
    assert await channel.request("display.get") == display
    assert await channel.request("cursor.get") == {"x": 10, "y": 20}
    (guest.session / "Xvfb_screen0.new").write_bytes(bytes(2 << 20))
    (guest.session / "Xvfb_screen0.new").rename(guest.session / "Xvfb_screen0")
    again = await channel.request("display.get")
    assert again["framebuffer"]["size"] == 2 << 20


async def test_larger_than_the_largest_size(guest, channel):
    start_session(guest)
    with pytest.raises(InvalidRequestError, match="at most 1920×1200"):
        await channel.request("display.set_size", {"width": 1921, "height": 800})


async def test_session_events(guest):
    events = []
    channel = await guest.hub.channel(on_event=events.append)
    start_session(guest)
    await asyncio.sleep(0.3)
    assert events == [{"event": "session", "state": "started"}]
    assert (await channel.request("guest.info"))["session_pid"] == 77
    start_session(guest, replace(STATE, session_pid=78))
    await asyncio.sleep(0.3)
    assert events[1:] == [{"event": "session", "state": "started"}]
    (guest.session / "state").unlink()
    await asyncio.sleep(0.3)
    assert events[2:] == [{"event": "session", "state": "stopped"}]
    await channel.aclose()


async def test_wait_for_a_file(guest, channel):
    async with asyncio.TaskGroup() as tasks:
        conditions = [{"file": str(guest.folder / "ready")}]
        waiting = tasks.create_task(channel.request("session.wait", {"conditions": conditions}))
        await asyncio.sleep(0.1)
        (guest.folder / "ready").write_text("")
    assert 50 <= waiting.result()["waited_ms"] < 2000
    missing = [{"file": "/no/such"}]
    with pytest.raises(DeadlineError) as caught:
        await channel.request("session.wait", {"conditions": [*conditions, *missing], "timeout_ms": 100})
    assert caught.value.evidence["detail"] == {"missing": missing}
    for wrong in ({}, {"window": "("}, {"file": 5}, {"file": "a", "unit": "b"}, "x"):
        with pytest.raises(InvalidRequestError):
            await channel.request("session.wait", {"conditions": [wrong]})


def entries(*numbers: int) -> array:
    return array("Q", [number | 1 << 63 for number in numbers])


def test_neighbouring_pages_are_merged():
    assert pages.merge_runs(entries(5, 6, 7, 2, 9, 10)) == [
        [5 * 4096, 3 * 4096],
        [2 * 4096, 4096],
        [9 * 4096, 2 * 4096],
    ]


@pytest.mark.parametrize("bad", [array("Q", [5]), array("Q", [1 << 63])])
def test_absent_or_hidden_pages_are_an_error(bad):
    with pytest.raises(OpError):
        pages.merge_runs(bad)
