"""`serve`, with what others do behind the machines' network cards: for the comparison, and for nothing else.

`nat`: a tap with an address and masquerading, as libvirt and most tutorials set it up. `user`: QEMU's own user network
(slirp). Neither asks a policy. One machine at a time.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from desktop_sandbox.cli.serve import run
from desktop_sandbox.microvm import command_line
from desktop_sandbox.microvm.jail import Jail
from desktop_sandbox.network import namespace
from desktop_sandbox.network.maker_client import MakerClient
from desktop_sandbox.network.namespace import Namespace

MASQUERADE = """
table ip bench {
  chain leaving { type nat hook postrouting priority 100; ip saddr 198.18.0.0/30 masquerade; }
}
"""


def idle_sockets() -> tuple[int, int]:
    """What a gateway could listen on; nobody comes."""
    listener = socket.create_server(("127.0.0.1", 0))
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind(("127.0.0.1", 0))
    return listener.detach(), names.detach()


def made_with(tap: Callable[[], int]) -> None:
    """Have the server get its taps here."""

    async def never(_self: MakerClient, _low: asyncio.Event) -> None:
        await asyncio.Event().wait()

    MakerClient.start = lambda _self: None  # type: ignore[method-assign]
    MakerClient.ready = lambda _self: None  # type: ignore[method-assign]
    MakerClient.close = lambda _self: None  # type: ignore[method-assign]
    MakerClient.keep_full = never  # type: ignore[method-assign]
    MakerClient.make = lambda _self: Namespace(tap(), *idle_sockets())  # type: ignore[method-assign]


def nat_tap() -> int:
    """A tap in the network namespace of this process, with the address that the guest takes for its gateway's."""
    tap = namespace._open_tap()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        namespace._set_mac(control, namespace.TAP, namespace.GATEWAY_MAC)
        namespace._set_address(control, namespace.TAP, namespace.GATEWAY_ADDRESS, namespace.PREFIX)
        namespace._bring_up(control, namespace.TAP)
    return tap


def with_nat() -> None:
    """Route and masquerade, as a host does it."""
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    namespace.load_nftables()(MASQUERADE)
    made_with(nat_tap)


def with_user_network() -> None:
    """QEMU itself makes the connections."""
    devices, wrap = command_line._devices, Jail.wrap

    def other(tap: int | None) -> list[str]:
        args = devices(tap)
        if tap is not None:
            args[args.index("-netdev") + 1] = "user,id=net0,net=198.18.0.0/24,host=198.18.0.1,dns=198.18.0.3,ipv6=off"
        return args

    def open_wall(self: Jail, *arguments: object, **named: object) -> list[str]:
        return [part for part in wrap(self, *arguments, **named) if part != "--unshare-net"]  # type: ignore[arg-type]

    command_line._devices = other
    Jail.wrap = open_wall  # type: ignore[method-assign]
    made_with(lambda: os.open("/dev/null", os.O_RDWR))


def main() -> None:
    """Serve: the first argument says how, the second where."""
    {"ours": lambda: None, "nat": with_nat, "user": with_user_network}[sys.argv[1]]()
    run(sys.argv[2], kill_on_exit=True, log_level="warning", base_url=None, tls_cert=None, tls_key=None)


if __name__ == "__main__":
    main()
