"""One machine: its directory, its QEMU process and its control connection. Knows no guest agent and no sandbox.

The directory is also the debugger: `command.txt`, `serial.log` (the guest's console), `qemu.log`, the sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import socket
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from desktop_sandbox.errors import MachineError
from desktop_sandbox.microvm.accelerator import Accelerator
from desktop_sandbox.microvm.cgroup import Cgroup
from desktop_sandbox.microvm.command_line import PORTS, Boot, Descriptors, MachineShape, qemu_arguments
from desktop_sandbox.microvm.host import QemuBuild, boot_id
from desktop_sandbox.microvm.jail import Jail
from desktop_sandbox.microvm.private_pages import GuestRam, ram_address
from desktop_sandbox.microvm.process import Process, ProcessId, file_limit, start_process
from desktop_sandbox.microvm.qmp import Qmp

RECORD = "machine.json"
_LOG_LIMIT_BYTES = 4 * 1024**2
_LOG_KEEP_BYTES = 256 * 1024
_CONNECT_S = 10.0
_TRY_AGAIN_S = 0.5


@dataclass(frozen=True)
class Hypervisor:
    """What all machines of this host have in common."""

    qemu: QemuBuild
    accelerator: Accelerator
    jail: Jail
    cgroup: Cgroup
    tag: str
    """Marks the processes of one HOME in the process table: at start-up those without a sandbox are ended."""

    def process_name(self, machine_id: str) -> str:
        """QEMU's name in the process table."""
        return f"desktop-sandbox-{self.tag}-{machine_id}"


@dataclass(frozen=True)
class Disk:
    """A machine's disk: raw image, read-only qcow2 layers (oldest first), and the overlay it writes to."""

    image: Path
    layers: Sequence[Path]
    overlay: Path


class Machine:
    """A running (or stopped) QEMU with its control connection."""

    def __init__(self, machine_id: str, directory: Path, shape: MachineShape, process: Process, qmp: Qmp) -> None:
        self.id = machine_id
        self.directory = directory
        self.shape = shape
        self.process = process
        self.qmp = qmp

    def __repr__(self) -> str:
        return f"<Machine {self.id} pid {self.process.pid}>"

    @classmethod
    async def start(
        cls,
        hypervisor: Hypervisor,
        machine_id: str,
        directory: Path,
        shape: MachineShape,
        *,
        uid: int,
        ram_fd: int,
        disk: Disk,
        boot: Boot | None = None,
        devices_only: bool = False,
        origin: str = "",
        tap: int | None = None,
    ) -> Machine:
        """Start QEMU; its vCPUs stand still until `resume`. Raises MachineError; then no process is left.

        `devices_only`: what it loads is a checkpoint's state. `origin` names the template whose RAM it maps. `tap`: the
        other end of its network card's wire, which stays the caller's.
        """
        spawning = asyncio.ensure_future(
            asyncio.to_thread(
                _spawn,
                hypervisor,
                machine_id,
                directory,
                shape,
                uid,
                ram_fd,
                disk,
                boot,
                devices_only,
                tap,
            )
        )
        try:
            process = await asyncio.shield(spawning)
        except asyncio.CancelledError:
            # the thread goes on all the same: what it starts must not outlive this call
            with contextlib.suppress(MachineError, OSError):
                await (await spawning).kill()
            raise
        try:
            (directory / RECORD).write_text(
                json.dumps(
                    {
                        "id": machine_id,
                        "uid": uid,
                        "shape": asdict(shape),
                        "origin": origin,
                        "tap": tap,
                        "process": asdict(process.identity),
                    }
                )
            )
            memory_mib = shape.memory_mib + hypervisor.accelerator.translated_mib
            hypervisor.cgroup.enclose(machine_id, process.pid, memory_mib)
            qmp = await _connect(directory, machine_id, process, _CONNECT_S)
        except BaseException:
            await asyncio.shield(process.kill())
            hypervisor.cgroup.remove(machine_id)
            raise
        return cls(machine_id, directory, shape, process, qmp)

    @classmethod
    async def adopt(cls, directory: Path, patience_s: float = _CONNECT_S) -> Machine:
        """Take over a machine that a server before this one started.

        Raises MachineError if it is gone, or lives and does not answer within `patience_s`.
        """
        record = read_record(directory)
        if record is None:
            raise MachineError("the machine left no record of its process")
        try:
            machine_id, identity, shape = record["id"], ProcessId(**record["process"]), MachineShape(**record["shape"])
        except (KeyError, TypeError) as error:
            raise MachineError(f"the record of the machine's process cannot be read: {error}") from None
        if identity.boot != boot_id() or not identity.alive():
            raise MachineError(f"the machine's process {identity.pid} is gone")
        process = Process(identity)
        process.go_on()  # that server may have died in the midst of holding it
        try:
            qmp = await _connect(directory, machine_id, process, patience_s)
        except BaseException:
            process.close()
            raise
        return cls(machine_id, directory, shape, process, qmp)

    def port_paths(self) -> tuple[str, str, str]:
        """Paths of the agent's sockets (control, bulk, input), below the length limit of socket addresses."""
        control, bulk, pointer = (socket_path(self.directory, port) for port in PORTS)
        return control, bulk, pointer

    async def load(self, state_fd: int, *, devices_only: bool = False) -> None:
        """Load device state from an open file: a template's, RAM being mapped already, or a checkpoint's."""
        await self.qmp.migrate("migrate-incoming", state_fd, ignore_shared=not devices_only)

    async def save(self, state_fd: int) -> None:
        """Write device state without RAM to an open file; the machine is stopped and never runs again."""
        await self.qmp.migrate("migrate", state_fd)

    async def save_devices(self, state_fd: int) -> int:
        """Write device state without RAM to a file open for writing only; the machine is stopped, and may go on.

        QEMU holds on to the file; give what this returns to `let_go` once the vCPUs run: it closes nothing before.
        """
        number = await self.qmp.lend(state_fd)
        # not only Xen's: what QEMU's COLO uses to save devices alone; nothing else leaves RAM out of a private map
        await self.qmp.execute("xen-save-devices-state", {"filename": f"/dev/fdset/{number}", "live": False})
        return number

    async def let_go(self, number: int) -> None:
        """Have QEMU close a file of `save_devices`."""
        await self.qmp.take_back(number)

    async def resume(self) -> None:
        """Let the vCPUs run."""
        await self.qmp.execute("cont")

    async def stop(self) -> None:
        """Let the vCPUs stand still; the disk is drained."""
        await self.qmp.execute("stop")

    async def status(self) -> str:
        """QEMU's word for its state: "running", "paused", "io-error" (it cannot write its disk) and others."""
        return str((await self.qmp.execute("query-status"))["status"])

    def ram(self) -> GuestRam:
        """Where guest RAM lies in the process."""
        pid = self.process.pid
        try:
            maps = Path(f"/proc/{pid}/maps").read_text()
        except OSError as error:
            raise _unseen(pid, error) from error
        return GuestRam(pid, ram_address(maps, self.shape.ram_bytes), self.shape.ram_bytes)

    def open_memory(self) -> tuple[int, int]:
        """A read-only descriptor of the process's memory, and the address in it where guest RAM begins.

        The descriptor can be given to a process without any power over this one. The caller closes it.
        """
        ram = self.ram()
        try:
            return os.open(f"/proc/{ram.pid}/mem", os.O_RDONLY | os.O_CLOEXEC), ram.base
        except OSError as error:
            raise _unseen(ram.pid, error) from error

    def serial_tail(self, size_bytes: int = 2000) -> str:
        """The end of the guest's console log."""
        return tail(self.directory / "serial.log", size_bytes)

    def trim_logs(self) -> None:
        """Keep a chatty guest from filling the disk through its console."""
        for name in ("serial.log", "qemu.log"):
            path = self.directory / name
            with contextlib.suppress(OSError):
                if path.stat().st_size > _LOG_LIMIT_BYTES:
                    keep = path.read_bytes()[-_LOG_KEEP_BYTES:]
                    with path.open("r+b") as log:
                        log.truncate(0)
                        log.write(keep)

    async def kill(self) -> None:
        """End the machine and verify it. Safe to call again."""
        try:
            await self.process.kill()
        finally:
            await self.qmp.close()

    async def detach(self) -> None:
        """Let go of the machine; it runs on, and a later server adopts it."""
        await self.qmp.close()
        self.process.close()


def _unseen(pid: int, error: OSError) -> MachineError:
    return MachineError(f"the memory of the machine's process {pid} cannot be looked at: {error.strerror}")


def read_record(directory: Path) -> dict[str, Any] | None:
    """What a machine's directory says of its process; None if nothing readable."""
    try:
        record = json.loads((directory / RECORD).read_text())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def tail(path: Path, size_bytes: int) -> str:
    """The end of a text file, or an empty string."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - size_bytes))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def socket_path(directory: Path, name: str) -> str:
    """A path to a socket in `directory` short enough for a socket address, however deep the directory lies."""
    plain = str(directory / name)
    if len(plain.encode()) < 100:
        return plain
    return f"/proc/self/fd/{_directory_descriptor(str(directory))}/{name}"


_directories: dict[str, int] = {}


def _directory_descriptor(directory: str) -> int:
    if directory not in _directories:
        _directories[directory] = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return _directories[directory]


def forget_directory(directory: Path) -> None:
    """Close what `socket_path` holds of a directory that is going away."""
    descriptor = _directories.pop(str(directory), None)
    if descriptor is not None:
        os.close(descriptor)


async def _connect(directory: Path, machine_id: str, process: Process, patience_s: float) -> Qmp:
    """QEMU's control connection; tried again as long as it lives and there is time."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            # all the time for one try: QEMU takes the next caller only when it has noticed that the last has gone
            return await Qmp.connect(socket_path(directory, "qmp"), machine_id, deadline - time.monotonic())
        except MachineError as error:
            lives = process.alive()
            if not lives or time.monotonic() + _TRY_AGAIN_S > deadline:
                log = tail(directory / "qemu.log", 800).strip()
                raise MachineError(
                    f"{error.message}; QEMU {'still runs' if lives else 'has ended'}",
                    hint=log or None,
                    serial=tail(directory / "serial.log", 2000),
                ) from error
        await asyncio.sleep(_TRY_AGAIN_S)


def _spawn(
    hypervisor: Hypervisor,
    machine_id: str,
    directory: Path,
    shape: MachineShape,
    uid: int,
    ram_fd: int,
    disk: Disk,
    boot: Boot | None,
    devices_only: bool,
    tap: int | None,
) -> Process:
    with contextlib.ExitStack() as stack:

        def opened(path: Path, flags: int) -> int:
            descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
            stack.callback(os.close, descriptor)
            return descriptor

        def listening(name: str) -> int:
            path = directory / name
            path.unlink(missing_ok=True)
            server = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            server.bind(socket_path(directory, name))
            path.chmod(0o600)
            server.listen(4)
            return server.fileno()

        files = Descriptors(
            ram=ram_fd,
            disk=opened(disk.image, os.O_RDONLY),
            layers=[opened(layer, os.O_RDONLY) for layer in disk.layers],
            overlay=opened(disk.overlay, os.O_RDWR),
            serial=opened(directory / "serial.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND),
            qmp=listening("qmp"),
            ports=[listening(port) for port in PORTS],
            tap=tap,
        )
        inside, readable = _show_boot_files(boot)
        name = hypervisor.process_name(machine_id)
        argv = [
            hypervisor.qemu.path,
            *qemu_arguments(
                name,
                shape,
                files,
                hypervisor.accelerator.arguments(boot=boot is not None),
                inside,
                devices_only=devices_only,
            ),
        ]
        (directory / "command.txt").write_text(shlex.join(argv) + "\n")
        return start_process(
            argv,
            hypervisor.jail,
            uid=uid,
            inherit=files.all(),
            log=directory / "qemu.log",
            boot=boot_id(),
            readable=readable,
            file_limit_bytes=file_limit(disk.image.stat().st_size, shape.ram_bytes),
        )


def _show_boot_files(boot: Boot | None) -> tuple[Boot | None, list[tuple[str, str]]]:
    if boot is None:
        return None, []
    inside = replace(boot, kernel="/boot/kernel", initrd="/boot/initrd")
    return inside, [(boot.kernel, inside.kernel), (boot.initrd, inside.initrd)]
