"""Boot an image by hand, to look at it: `python tests/image/boot.py RECIPE [SECONDS]`. Not the product's launcher.

A root shell listens on DIRECTORY/shell.sock; the console goes to DIRECTORY/serial.log.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from guest_image.builder import Image, agent_ports, find_image, kernel_arguments
from guest_image.recipe import Recipe, load_recipe


def tsc_khz() -> int:
    """The host's TSC in kHz, as /proc/cpuinfo has it (good enough for an early calibration)."""
    line = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("cpu MHz"))
    return int(float(line.split(":")[1]) * 1000)


def command(image: Image, recipe: Recipe, directory: Path) -> list[str]:
    """QEMU's command line: microvm under TCG, a throw-away overlay, the three agent ports, a shell on hvc0."""
    arguments = [
        *kernel_arguments("ttyS0"),
        "root=/dev/vda",
        "clearcpuid=cx16",
        f"tsc_early_khz={tsc_khz()}",
        "tsc=reliable",
        "no_timer_check",
        "systemd.debug_shell=hvc0",
    ]
    ports = [
        item
        for number, name in enumerate(agent_ports())
        for item in (
            "-chardev",
            f"socket,id=p{number},path={directory}/{name}.sock,server=on,wait=off",
            "-device",
            f"virtserialport,chardev=p{number},name={name}",
        )
    ]
    return [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-machine", "microvm,acpi=on,rtc=on,pcie=off,usb=off,isa-serial=on",
        "-accel", "tcg,thread=multi", "-cpu", "max,-avx,-avx2,-fma,-f16c",
        "-smp", str(recipe.vcpus), "-m", str(recipe.memory_mib),
        "-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append", " ".join(arguments),
        "-serial", f"file:{directory}/serial.log",
        "-qmp", f"unix:{directory}/qmp.sock,server=on,wait=off",
        "-drive", f"if=none,id=root,file={image.disk},format=raw,snapshot=on",
        "-device", "virtio-blk-device,drive=root",
        "-device", "virtio-serial-device", *ports,
        "-chardev", f"socket,id=shell,path={directory}/shell.sock,server=on,wait=off",
        "-device", "virtconsole,chardev=shell",
        "-chardev", f"file,id=dump,path={directory}/dump", "-device", "virtserialport,chardev=dump,name=dump",
        "-device", "virtio-net-device", "-device", "virtio-rng-device",
    ]  # fmt: skip


def main() -> None:
    """Boot and wait."""
    recipe = load_recipe(sys.argv[1])
    image = find_image(recipe, Path.home() / ".local/share/desktop-sandbox")
    if image is None:
        raise SystemExit(f"build {recipe.name} first")
    directory = Path("/tmp/image-boot") / recipe.name
    directory.mkdir(parents=True, exist_ok=True)
    started = time.time()
    with subprocess.Popen(command(image, recipe, directory)) as process:
        print(f"pid {process.pid}, {directory}", flush=True)
        try:
            process.wait(float(sys.argv[2]) if len(sys.argv) > 2 else None)
        finally:
            process.kill()
            print(f"ended after {time.time() - started:.1f} s")


if __name__ == "__main__":
    main()
