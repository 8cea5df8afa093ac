"""The order of a machine's devices is part of every snapshot: golden, together with the number of the layout."""

from __future__ import annotations

import pytest

from desktop_sandbox.microvm.command_line import DEVICE_LAYOUT, Boot, Descriptors, MachineShape, qemu_arguments

GOLDEN = {
    2: [
        "virtio-blk-device,drive=overlay,serial=root",
        "virtio-serial-device,max_ports=8",
        "virtserialport,nr=1,chardev=control,name=desktop.control",
        "virtserialport,nr=2,chardev=bulk,name=desktop.bulk",
        "virtserialport,nr=3,chardev=input,name=desktop.input",
        "virtio-rng-device,rng=rng0",
        "virtio-net-device,mac=02:d5:00:00:00:05,guest_announce=off",
    ],
}
"""What a machine of each layout has. No layout ever changes: new devices go to the end, under a new number."""
MACHINE = "microvm,acpi=on,rtc=on,pcie=off,usb=off,isa-serial=on,mem-merge=off,dump-guest-core=off"


@pytest.mark.parametrize("tap", [None, 30])
@pytest.mark.parametrize("boot", [None, Boot("/boot/kernel", "/boot/initrd", "quiet")])
@pytest.mark.parametrize("devices_only", [False, True])
def test_devices_have_the_order_of_their_layout(tap: int | None, boot: Boot | None, devices_only: bool) -> None:
    files = Descriptors(10, 11, [12, 13], 14, 15, 16, [17, 18, 19], tap)
    arguments = qemu_arguments("test", MachineShape(512, 2), files, ["-accel", "tcg"], boot, devices_only=devices_only)
    given = [arguments[at + 1] for at, word in enumerate(arguments) if word == "-device"]
    # a wire is no device: the card is the same with and without
    assert [device.removesuffix(",netdev=net0") for device in given] == GOLDEN[DEVICE_LAYOUT]
    assert given[-1].endswith(",netdev=net0") is (tap is not None)
    machine = arguments[arguments.index("-machine") + 1]
    assert machine.startswith(MACHINE), "the board has devices, too"
