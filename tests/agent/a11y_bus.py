"""A D-Bus daemon of its own with apps that tell of their elements over AT-SPI, or fail to in every way there is."""

from __future__ import annotations

import select
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from guest_image.agent.a11y import states, wire
from guest_image.agent.a11y.bus import DRIVER, DRIVER_PATH, Bus
from guest_image.agent.a11y.walk import A11Y

ROOT = "/org/a11y/atspi/accessible/root"
PREFIX = "/org/a11y/atspi/accessible/"
SHOWN = ("showing", "visible", "enabled", "sensitive")
_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>"""


@dataclass
class Item:
    """One element of a fake app."""

    role: str
    name: str = ""
    states: tuple[str, ...] = SHOWN
    bounds: tuple[int, int, int, int] = (10, 20, 30, 40)
    children: list[Item] = field(default_factory=list)
    actions: tuple[str, ...] = ()
    text: str | None = None
    editable: bool = False
    number: float | None = None
    malformed: bool = False
    claims: int | None = None
    """How many children it says it has."""
    path: str = ""

    @property
    def interfaces(self) -> list[str]:
        names = ["Accessible", "Component"]
        names += ["Action"] if self.actions else []
        names += ["Text"] if self.text is not None else []
        names += ["EditableText"] if self.editable else []
        names += ["Value"] if self.number is not None else []
        return [A11Y + name for name in names]


class FakeApp:
    """An app on the bus, in a thread of its own. `silent`: it never answers."""

    def __init__(self, address: str, root: Item, *, own: str | None = None, silent: bool = False) -> None:
        self.items: dict[str, Item] = {}
        self.asked = 0
        self.done: list[tuple[str, Any]] = []
        self.silent = silent
        self._number_all(root, ROOT)
        deadline = time.monotonic() + 10
        self._bus = Bus(address, deadline)
        self.name: str = self._bus.name
        if own is not None:
            self._bus.call(DRIVER, DRIVER_PATH, DRIVER, "RequestName", "su", own, 4, deadline=deadline)
        self._socket: socket.socket = self._bus._socket
        self._stop = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _number_all(self, item: Item, path: str) -> None:
        item.path = path
        self.items[path] = item
        for child in item.children:
            self._number_all(child, f"{PREFIX}{len(self.items)}")

    def forget(self, name: str) -> None:
        """An element goes."""
        for path, item in list(self.items.items()):
            if item.name == name:
                del self.items[path]

    def close(self) -> None:
        self._stop = True
        self._thread.join(5)
        self._bus.close()

    def _serve(self) -> None:
        buffer = b""
        while not self._stop:
            if not select.select([self._socket], [], [], 0.05)[0]:
                continue
            try:
                data = self._socket.recv(1 << 16)
            except OSError:
                return
            if not data:
                return
            buffer += data
            while len(buffer) >= wire.FIXED_BYTES:
                head, body = wire.lengths(buffer)
                if len(buffer) < head + body:
                    break
                message, buffer = wire.decode(buffer[: head + body]), buffer[head + body :]
                if message.kind == wire.CALL and not self.silent:
                    self._answer(message)

    def _answer(self, call: wire.Message) -> None:
        self.asked += 1
        item = self.items.get(call.path)
        try:
            if item is None:
                raise KeyError(call.path)
            signature, values = self.reply(item, call)
            kind, error = wire.REPLY, ""
        except (KeyError, NotImplementedError) as problem:
            name = "UnknownObject" if isinstance(problem, KeyError) else "UnknownMethod"
            kind, error, signature, values = wire.ERROR, f"org.freedesktop.DBus.Error.{name}", "s", (str(problem),)
        reply = wire.Message(
            kind, 1 << 20, error_name=error, reply_serial=call.serial, destination=call.sender, signature=signature,
            body=values,
        )  # fmt: skip
        self._socket.setblocking(True)
        self._socket.sendall(wire.encode(reply))

    def reply(self, item: Item, call: wire.Message) -> tuple[str, tuple[Any, ...]]:
        """Signature and values of the answer to a call."""
        refs = [(self.name, child.path) for child in item.children]
        match call.member:
            case _ if item.malformed and call.member in ("GetState", "GetAll"):
                return "s", ("nonsense",)
            case "GetAll":
                count = len(refs) if item.claims is None else item.claims
                return "a{sv}", ({"Name": ("s", item.name), "ChildCount": ("i", count), "Description": ("s", "")},)
            case "GetRoleName":
                return "s", (item.role,)
            case "GetState":
                number = sum(1 << states.NAMES.index(name) for name in item.states)
                return "au", ([number & 0xFFFFFFFF, number >> 32],)
            case "GetInterfaces":
                return "as", (item.interfaces,)
            case "GetExtents":
                return "(iiii)", (item.bounds,)
            case "GetChildren":
                return "a(so)", (refs,)
            case "GetChildAtIndex":
                return "(so)", (refs[call.body[0]],)
            case "GetText" if item.text is not None:
                return "s", (item.text,)
            case "Get" if item.number is not None:
                return "v", (("d", item.number),)
            case "Set" if item.number is not None:
                item.number = call.body[2]
                return "", ()
            case "GetActions" if item.actions:
                return "a(sss)", ([(name, "", "") for name in item.actions],)
            case "GetName" if item.actions:
                return "s", (item.actions[call.body[0]],)
            case "DoAction" if item.actions:
                self.done.append((item.name, item.actions[call.body[0]]))
                return "b", (True,)
            case "SetTextContents" if item.editable:
                item.text = call.body[0]
                return "b", (True,)
            case "GrabFocus":
                item.states = (*item.states, "focused")
                return "b", ("focusable" in item.states,)
        raise NotImplementedError(call.member)


class Registry(FakeApp):
    """The accessibility registry, and the address of its bus: both on one bus here."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.apps: list[tuple[str, str]] = []
        super().__init__(address, Item("desktop frame", "main"), own=f"{A11Y}Registry")

    def reply(self, item: Item, call: wire.Message) -> tuple[str, tuple[Any, ...]]:
        if call.member == "GetAddress":
            return "s", (self.address,)
        if call.member == "GetChildren":
            return "a(so)", (self.apps,)
        return super().reply(item, call)


class FakeDesktop:
    """A bus with a registry, to which apps are added."""

    def __init__(self, folder: Path) -> None:
        self.address = f"unix:path={folder}/bus"
        (folder / "bus.conf").write_text(_CONFIG.format(path=folder / "bus"))
        command = ["dbus-daemon", f"--config-file={folder}/bus.conf", "--nofork", "--nopidfile", "--print-address=1"]
        self._daemon = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._daemon.stdout is not None
        assert self._daemon.stdout.readline()
        try:
            self._populate()
        except BaseException:
            self._daemon.kill()
            raise

    def _populate(self) -> None:
        self.registry = Registry(self.address)
        self._launcher = FakeApp(self.address, Item("launcher"), own="org.a11y.Bus")
        self._launcher.items["/org/a11y/bus"] = Item("bus")
        self._launcher.reply = self.registry.reply  # type: ignore[method-assign]
        self.apps: list[FakeApp] = []

    def add(self, name: str, *windows: Item, **more: Any) -> FakeApp:
        """An app of that name with windows."""
        app = FakeApp(self.address, Item("application", name, states=(), children=list(windows)), **more)
        self.apps.append(app)
        self.registry.apps.append((app.name, ROOT))
        return app

    def close_apps(self) -> None:
        for app in [*self.apps, self._launcher, self.registry]:
            app.close()

    def close(self) -> None:
        self.close_apps()
        self._daemon.terminate()
        self._daemon.wait(10)
        assert self._daemon.stdout is not None
        self._daemon.stdout.close()
