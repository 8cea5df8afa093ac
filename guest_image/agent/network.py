"""The guest's end of the network: one address, the same in every machine, and no connection of another life.

There is no DHCP and nothing to find out: the host's end is always the same. A machine that was restored closes the TCP
connections that its snapshot had open, so that programs try again instead of waiting for somebody who is not there.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from contextlib import suppress

from guest_image.agent.journal import log

ADDRESS, GATEWAY, NETMASK = "198.18.0.2", "198.18.0.1", "255.255.255.252"
_SIOCADDRT, _SIOCGIFFLAGS, _SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK = 0x890B, 0x8913, 0x8914, 0x8916, 0x891C
_IFF_UP = 1
_RTF_UP, _RTF_GATEWAY = 1, 2
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY, _SOCK_DESTROY = 20, 21
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_DUMP = 0x1, 0x4, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
# established, both SYN states, both FIN-WAIT states, CLOSE-WAIT, LAST-ACK, CLOSING
_ALIVE = 0b1011_0011_1110
_ID = slice(4, 52)  # of struct inet_diag_msg: the socket it is about


def interface(folder: str = "/sys/class/net") -> str | None:
    """The name of the machine's network card, or None."""
    with suppress(OSError):
        return next((name for name in sorted(os.listdir(folder)) if name.startswith(("eth", "en"))), None)
    return None


def bring_up() -> bool:
    """Give the card its address and route; once more does nothing. False where there is no card, or it refuses."""
    name = interface()
    if name is None:
        return False
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            card = name.encode()
            for request, address in ((_SIOCSIFADDR, ADDRESS), (_SIOCSIFNETMASK, NETMASK)):
                fcntl.ioctl(control, request, struct.pack("16s16s8x", card, _place(address)))
            flags = struct.unpack_from("16xH", fcntl.ioctl(control, _SIOCGIFFLAGS, struct.pack("16s24x", card)))[0]
            fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH22x", card, flags | _IFF_UP))
            anywhere = _place("0.0.0.0")  # noqa: S104 (a route's destination)
            # struct rtentry of 64-bit Linux: pad, three addresses, flags, and what stays 0
            route = struct.pack("=Q16s16s16sH62x", 0, anywhere, _place(GATEWAY), anywhere, _RTF_UP | _RTF_GATEWAY)
            with suppress(FileExistsError):
                fcntl.ioctl(control, _SIOCADDRT, route)
    except OSError as error:
        log(f"x network: {name}: {error}")
        return False
    return True


def _place(address: str) -> bytes:
    return struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))


def close_connections() -> int:
    """Close every TCP connection that leaves this machine (sock_diag(7)); how many there were. OSError if it cannot."""
    found: list[tuple[int, bytes]] = []
    for family in (int(socket.AF_INET), int(socket.AF_INET6)):
        found += [(family, ident) for ident in _connections(family) if not _is_local(family, ident)]
    for family, ident in found:
        with suppress(OSError):
            _ask(_SOCK_DESTROY, _NLM_F_REQUEST | _NLM_F_ACK, family, ident)
    return len(found)


def warm_up() -> None:
    """Look for connections without closing any. OSError if that cannot be done here."""
    _connections(socket.AF_INET)


def _is_local(family: int, ident: bytes) -> bool:
    there = ident[20:36]
    if family == socket.AF_INET:
        return there[0] == 127
    return there == bytes(15) + b"\1" or (there[:12] == bytes(10) + b"\xff\xff" and there[12] == 127)


def _connections(family: int) -> list[bytes]:
    return [message[_ID] for message in _ask(_SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST | _NLM_F_DUMP, family, bytes(48))]


def _ask(kind: int, flags: int, family: int, ident: bytes) -> list[bytes]:
    body = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 0, 0, _ALIVE) + ident
    out: list[bytes] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(2.0)
        kernel.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
        while True:
            data = kernel.recv(65536)
            while len(data) >= 16:
                length, answer = struct.unpack_from("=IH", data)
                if answer == _NLMSG_ERROR:
                    error = struct.unpack_from("=i", data, 16)[0]
                    if error:
                        raise OSError(-error, os.strerror(-error))
                    return out
                if answer == _NLMSG_DONE or length < 16:
                    return out
                out.append(data[16:length])
                data = data[(length + 3) & ~3 :]
