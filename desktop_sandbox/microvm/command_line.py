"""QEMU's command line, decided from a machine's shape and the numbers of the files it inherits. Pure.

The order of devices is part of every snapshot. A new device goes at the end, and DEVICE_LAYOUT grows by one.
There is no balloon, no virtio-mem, no vhost-user and no graphics card, on purpose: see ARCHITECTURE.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

DEVICE_LAYOUT = 2
PORTS = ("control", "bulk", "input")
# QEMU's own default is SeaBIOS on some distributions: with its interrupt controller and tables, Linux hangs at boot
FIRMWARE = "qboot.rom"
GUEST_MAC = "02:d5:00:00:00:05"
_MAX_BELOW_4G = 3 * 1024**3


@dataclass(frozen=True)
class MachineShape:
    """What a guest sees of its machine: a snapshot fits only the same shape."""

    memory_mib: int
    vcpus: int

    @property
    def ram_bytes(self) -> int:
        """Size of guest RAM in bytes."""
        return self.memory_mib * 1024**2

    @property
    def below_4g_bytes(self) -> int:
        """Bytes of guest RAM below the hole at 3 GiB; the rest begins at guest address 4 GiB."""
        return min(self.ram_bytes, _MAX_BELOW_4G)


@dataclass(frozen=True)
class Descriptors:
    """Numbers of the open files that QEMU inherits. `layers` are read-only qcow2 files, oldest first.

    `qmp` and `ports` are listening sockets.
    """

    ram: int
    disk: int
    layers: Sequence[int]
    overlay: int
    serial: int
    qmp: int
    ports: Sequence[int]
    tap: int | None = None
    """The other end of the network card's wire; None: it has none, and the card stands in the guest all the same."""

    def all(self) -> tuple[int, ...]:
        """Every number."""
        return (
            self.ram,
            self.disk,
            *self.layers,
            self.overlay,
            self.serial,
            self.qmp,
            *self.ports,
            *(() if self.tap is None else (self.tap,)),
        )


@dataclass(frozen=True)
class Boot:
    """Paths of kernel and initrd (as QEMU sees them) and the kernel's command line, for a cold boot.

    `own_memory`: the RAM file is this machine's alone; else it is a sealed one, and mapped copy-on-write.
    """

    kernel: str
    initrd: str
    arguments: str
    own_memory: bool = True


def qemu_arguments(
    name: str,
    shape: MachineShape,
    files: Descriptors,
    accelerator: Sequence[str],
    boot: Boot | None,
    *,
    devices_only: bool = False,
) -> list[str]:
    """QEMU's arguments after its own path.

    With `boot` the RAM file is shared, so that it becomes a template's (`own_memory`), or mapped private (copy on
    write), being a sealed one. Without `boot` it is mapped private, and the machine waits for `migrate-incoming`: of a
    template's state, or (`devices_only`) of a checkpoint's, which has no configuration section. Either way vCPUs do
    not run before `cont`.
    """
    machine = "microvm,acpi=on,rtc=on,pcie=off,usb=off,isa-serial=on,mem-merge=off,dump-guest-core=off"
    if devices_only:
        machine += ",suppress-vmdesc=on"
    args = ["-name", f"guest={name},debug-threads=on", "-nodefaults", "-no-user-config", "-display", "none"]
    args += ["-no-reboot", "-S", *accelerator, "-bios", FIRMWARE]
    args += [
        "-machine",
        f"{machine},memory-backend=ram0",
        "-smp",
        str(shape.vcpus),
        "-m",
        f"{shape.memory_mib}M",
    ]
    args += ["-rtc", "base=utc,clock=host"]
    args += ["-object", _ram(shape, files.ram, shared=boot is not None and boot.own_memory)]
    args += _sockets(files)
    args += _disk(files)
    args += _devices(files.tap)
    args += ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]
    if devices_only:
        args += ["-global", "migration.send-configuration=off"]
    if boot is None:
        return [*args, "-incoming", "defer"]
    return [*args, "-kernel", boot.kernel, "-initrd", boot.initrd, "-append", boot.arguments]


def _ram(shape: MachineShape, descriptor: int, *, shared: bool) -> str:
    share = "on" if shared else "off"
    return (
        f"memory-backend-file,id=ram0,size={shape.memory_mib}M,mem-path=/proc/self/fd/{descriptor},"
        f"share={share},prealloc=off"
    )


def _sockets(files: Descriptors) -> list[str]:
    args = [
        "-chardev",
        f"socket,id=qmp,fd={files.qmp},server=on,wait=off",
        "-mon",
        "chardev=qmp,mode=control",
    ]
    args += ["-add-fd", f"fd={files.serial},set=1"]
    args += ["-chardev", "file,id=serial,path=/dev/fdset/1,append=on", "-serial", "chardev:serial"]
    for port, descriptor in zip(PORTS, files.ports, strict=True):
        args += ["-chardev", f"socket,id={port},fd={descriptor},server=on,wait=off"]
    return args


def _disk(files: Descriptors) -> list[str]:
    """Raw image, then read-only layers, then the overlay. Backing is named here, never read from a header."""
    args = ["-add-fd", f"fd={files.disk},set=2"]
    args += [
        "-blockdev",
        "driver=file,node-name=disk-file,filename=/dev/fdset/2,read-only=on,auto-read-only=off",
    ]
    args += ["-blockdev", "driver=raw,node-name=disk,file=disk-file,read-only=on"]
    backing = "disk"
    for index, descriptor in enumerate(files.layers):
        number = 10 + index
        args += ["-add-fd", f"fd={descriptor},set={number}"]
        args += [
            "-blockdev",
            f"driver=file,node-name=layer{index}-file,filename=/dev/fdset/{number},read-only=on,auto-read-only=off",
        ]
        args += [
            "-blockdev",
            f"driver=qcow2,node-name=layer{index},file=layer{index}-file,read-only=on,backing={backing}",
        ]
        backing = f"layer{index}"
    args += ["-add-fd", f"fd={files.overlay},set=3"]
    args += ["-blockdev", "driver=file,node-name=overlay-file,filename=/dev/fdset/3,discard=unmap,cache.no-flush=on"]
    # a flush need not reach the host's disk: what must survive the host's end is a snapshot, which is written durably
    args += [
        "-blockdev",
        f"driver=qcow2,node-name=overlay,file=overlay-file,backing={backing},discard=unmap,cache.no-flush=on",
    ]
    return args


def _devices(tap: int | None) -> list[str]:
    args = ["-device", "virtio-blk-device,drive=overlay,serial=root"]
    args += ["-device", "virtio-serial-device,max_ports=8"]
    for number, port in enumerate(PORTS, start=1):
        args += ["-device", f"virtserialport,nr={number},chardev={port},name=desktop.{port}"]
    args += ["-object", "rng-builtin,id=rng0", "-device", "virtio-rng-device,rng=rng0"]
    # the guest sees the same card with and without a wire: no offloads, since the tap has no header for them
    wire = "" if tap is None else ",netdev=net0"
    if tap is not None:
        args += ["-netdev", f"tap,id=net0,fd={tap}"]
    # after a restore a guest would be told five times to announce itself to a network that has nobody else; where a
    # migration parameter (announce-rounds=0) says not to, QEMU 7.2 dereferences null once the guest resets its card
    args += ["-device", f"virtio-net-device,mac={GUEST_MAC},guest_announce=off{wire}"]
    return args


def kernel_arguments(tsc_khz: int, *, kvm: bool) -> tuple[str, ...]:
    """The part of the kernel's command line that cures an emulator; the image has its own.

    `tsc_early_khz`: under TCG on a loaded host early TSC calibration fails and the boot hangs for ever without it.
    `norandmaps`: QEMU translates code once for each address it is at, so a program that starts at the same address
    each time is translated once (a second `ls` or browser starts in half the time).
    `clearcpuid=cx16`: QEMU 7.2's emulated cmpxchg16b corrupts flags; the kernel must not use it, programs still see it.
    """
    if kvm:
        return ()
    return (f"tsc_early_khz={tsc_khz}", "tsc=reliable", "clearcpuid=cx16", "no_timer_check", "norandmaps")
