"""A network namespace for one sandbox: a tap, addresses, rules, two listening sockets, and no way out.

The namespace has no name and no process: it lives as long as the machine's QEMU holds the tap, or somebody the sockets,
and the kernel removes it with the last of them. All TCP, to whatever address and port, comes to one listening socket
(TPROXY: getsockname tells where the guest wanted to go; no connection tracking that a guest could fill). UDP to port 53
of any address comes to the other. All else is refused with an ICMP message at once.

Linux only; talks to the kernel through libc, ioctl and libnftables, without starting a program.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from desktop_sandbox.errors import ConfigurationError

GATEWAY_ADDRESS = "198.18.0.1"
GUEST_ADDRESS = "198.18.0.2"
PREFIX = 30
GATEWAY_MAC = "02:d5:00:00:00:01"
TAP = "tap0"
TCP_PORT = 1
_DNS_PORT = 53
_BACKLOG = 1024

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x2, 0x1000
_TUNGETDEVNETNS = 0x54E3
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK, _SIOCSIFHWADDR = 0x8913, 0x8914, 0x8916, 0x891C, 0x8924
_IFF_UP = 1
_IP_TRANSPARENT, _IP_PKTINFO = 19, 8

RULES = f"""
table inet sandbox {{
  chain arriving {{
    type filter hook prerouting priority -300; policy drop;
    iif "lo" accept
    iif != "{TAP}" drop
    ether type arp accept
    ip saddr != {GUEST_ADDRESS} drop
    ip frag-off & 0x1fff != 0 drop
    ip protocol tcp accept
    udp dport {_DNS_PORT} accept
    ip protocol icmp ip daddr {GATEWAY_ADDRESS} icmp type echo-request limit rate 20/second accept
    ip protocol icmp icmp type != echo-request drop
    ip protocol udp limit rate 200/second burst 200 packets reject with icmp type port-unreachable
    meta nfproto ipv4 limit rate 20/second reject with icmp type admin-prohibited
    drop
  }}
  chain speaking {{
    type filter hook prerouting priority -150; policy accept;
    iif "{TAP}" meta l4proto tcp tproxy ip to :{TCP_PORT} accept
  }}
  chain crossing {{
    type filter hook forward priority 0; policy drop;
  }}
}}
"""


@dataclass(frozen=True)
class Namespace:
    """Descriptors of a namespace made ready: QEMU's tap, the TCP listener, the UDP socket for names."""

    tap: int
    listener: int
    names: int

    def close(self) -> None:
        """Close them; with the last holder of any of them the namespace is gone."""
        for descriptor in (self.tap, self.listener, self.names):
            with contextlib.suppress(OSError):
                os.close(descriptor)


def unshare(flags: int) -> None:
    """unshare(2). Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def enter(descriptor: int, kind: int = CLONE_NEWNET) -> None:
    """setns(2). Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, kind) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def make_namespace(rules: Callable[[str], None]) -> Namespace:
    """Put this thread into a new namespace made ready. `rules` loads nftables rules into it. Raises OSError."""
    unshare(CLONE_NEWNET)
    for name, value in (
        ("net/ipv6/conf/all/disable_ipv6", "1"),
        ("net/ipv6/conf/default/disable_ipv6", "1"),
        ("net/ipv4/icmp_ratelimit", "0"),
        ("net/ipv4/ip_forward", "0"),
        ("net/ipv4/conf/all/rp_filter", "0"),
        ("net/ipv4/tcp_syncookies", "1"),
        ("net/ipv4/tcp_rmem", "4096 131072 1048576"),
        ("net/ipv4/tcp_wmem", "4096 65536 1048576"),
        ("net/ipv4/tcp_max_tw_buckets", "1024"),
    ):
        # the rules drop and refuse as well; these spare the kernel work, and memory for what a guest does not take
        with contextlib.suppress(OSError):
            Path("/proc/sys", name).write_text(value)
    tap = _open_tap()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            _set_mac(control, TAP, GATEWAY_MAC)
            _set_address(control, TAP, GATEWAY_ADDRESS, PREFIX)
            _bring_up(control, TAP)
            _bring_up(control, "lo")
        rules(RULES)
        _everything_is_here()
        listener, names = make_sockets()
    except BaseException:
        os.close(tap)
        raise
    return Namespace(tap, listener, names)


def make_sockets() -> tuple[int, int]:
    """The listening TCP socket and the UDP socket for names, in the namespace that this thread is in."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
        listener.bind(("0.0.0.0", TCP_PORT))  # noqa: S104 (all there is in this namespace is the guest)
        listener.listen(_BACKLOG)
        names = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        names.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        names.bind(("0.0.0.0", _DNS_PORT))  # noqa: S104
        return listener.detach(), names.detach()


def namespace_of_tap(tap: int) -> int:
    """A descriptor of the namespace that a tap lies in. Raises OSError."""
    return fcntl.ioctl(tap, _TUNGETDEVNETNS, 0)


def _open_tap() -> int:
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", TAP.encode(), _IFF_TAP | _IFF_NO_PI))
    except BaseException:
        os.close(tap)
        raise
    return tap


def _set_mac(control: socket.socket, name: str, mac: str) -> None:
    octets = bytes.fromhex(mac.replace(":", ""))
    fcntl.ioctl(control, _SIOCSIFHWADDR, struct.pack("16sH6s16x", name.encode(), 1, octets))


def _set_address(control: socket.socket, name: str, address: str, prefix: int) -> None:
    mask = socket.inet_ntoa(((0xFFFFFFFF << (32 - prefix)) & 0xFFFFFFFF).to_bytes(4))
    for request, value in ((_SIOCSIFADDR, address), (_SIOCSIFNETMASK, mask)):
        place = struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(value))
        fcntl.ioctl(control, request, struct.pack("16s16s8x", name.encode(), place))


def _bring_up(control: socket.socket, name: str) -> None:
    request = struct.pack("16sH22x", name.encode(), 0)
    flags = struct.unpack_from("16xH", fcntl.ioctl(control, _SIOCGIFFLAGS, request))[0]
    fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH22x", name.encode(), flags | _IFF_UP))


def _everything_is_here() -> None:
    """A route that makes every address local: `ip route add local 0.0.0.0/0 dev lo table main` (rtnetlink(7))."""
    index = socket.if_nametoindex("lo")
    body = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, 254, 3, 254, 2, 0)
    body += struct.pack("=HHI", 8, 4, index)
    request = struct.pack("=IHHII", 16 + len(body), 24, 0x0605, 1, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        kernel.bind((0, 0))
        kernel.send(request)
        answer = kernel.recv(4096)
    error = struct.unpack_from("=i", answer, 16)[0]
    if error:
        raise OSError(-error, f"the route: {os.strerror(-error)}")


def load_nftables() -> Callable[[str], None]:
    """What loads rules into the namespace of the calling thread. ConfigurationError where there is no library."""
    try:
        library = ctypes.CDLL("libnftables.so.1")
    except OSError:
        raise ConfigurationError(
            "libnftables is not installed: sandboxes have no network", hint="apt install nftables"
        ) from None
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_free.argtypes = [ctypes.c_void_p]
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    library.nft_ctx_buffer_error.argtypes = [ctypes.c_void_p]
    library.nft_ctx_get_error_buffer.argtypes = [ctypes.c_void_p]
    library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p

    def run(rules: str) -> None:
        context = library.nft_ctx_new(0)
        try:
            library.nft_ctx_buffer_error(context)
            if library.nft_run_cmd_from_buffer(context, rules.encode()) != 0:
                said = (library.nft_ctx_get_error_buffer(context) or b"").decode(errors="replace").strip()
                raise OSError(0, f"nftables: {said.splitlines()[0] if said else 'it failed'}")
        finally:
            library.nft_ctx_free(context)

    return run
