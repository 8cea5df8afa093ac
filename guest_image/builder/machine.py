"""What a machine must give the guest: pieces of the kernel's command line, and the names of the agent's ports."""

from __future__ import annotations


def kernel_arguments(console: str = "ttyS0", *, emulated: bool = True) -> tuple[str, ...]:
    """Arguments of the kernel's command line that the image needs, whatever starts it.

    `console`: the device that shows the log. `emulated`: no real CPU below, so its flaws need no mitigations.
    Arguments that cure an emulator or a CPU (clearcpuid, tsc_early_khz) are the machine's business.
    """
    return (
        f"console={console}",
        "quiet",
        "loglevel=4",
        "panic=-1",
        "reboot=t",
        "random.trust_cpu=on",
        *(["mitigations=off"] if emulated else []),
        "nowatchdog",
        "8250.nr_uarts=1",
        "rcupdate.rcu_expedited=1",
        "transparent_hugepage=madvise",
        "net.ifnames=0",
        "fsck.mode=skip",
        "systemd.show_status=auto",
        "systemd.log_level=notice",
        "systemd.gpt_auto=0",
        "audit=0",
        "psi=0",
    )


def agent_ports() -> tuple[str, str, str]:
    """Names of the virtio-serial ports, in device order."""
    return ("desktop.control", "desktop.bulk", "desktop.input")
