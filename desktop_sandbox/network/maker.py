"""The process that makes namespaces: the only one with rights over networks, and it hears the server alone.

Where the server is root, it keeps just the rights to make and set up namespaces. Otherwise it is root of a user
namespace of its own. It answers one message at a time over a socket that it inherits, and ends with the server.

    "make"           → "ok" and three descriptors: tap, TCP listener, UDP socket for names; or what went wrong
    "sockets" + tap  → "ok" and two: new sockets in the namespace that this tap lies in

Started with a second argument, it answers one "sockets" and stays in the user namespace of the server: only there an
ordinary user has rights over the namespaces that an earlier maker of theirs made.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import sys
from pathlib import Path

from desktop_sandbox.errors import ConfigurationError
from desktop_sandbox.network import namespace

_NS_GET_USERNS = 0xB701
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
# CAP_NET_BIND_SERVICE, CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN
_KEPT = frozenset({10, 12, 13, 21})
_CAPABILITIES = 64


def main() -> None:
    """Serve the socket whose number is the only argument."""
    link = socket.socket(fileno=int(sys.argv[1]))
    once = len(sys.argv) > 2
    try:
        become_small(root=os.geteuid() == 0, own=not once)
        rules = namespace.load_nftables()
        link.send(b"ready")
    except (OSError, ConfigurationError) as error:
        link.send(f"x {error}".encode())
        return
    while True:
        message, descriptors, _, _ = socket.recv_fds(link, 64, 1)
        if not message:
            return
        if once and message != b"sockets":
            return
        try:
            if message == b"make":
                made = namespace.make_namespace(rules)
                socket.send_fds(link, [b"ok"], [made.tap, made.listener, made.names])
                made.close()
            else:
                _sockets_beside(link, descriptors[0])
        except (OSError, IndexError) as error:
            link.send(f"x {error}".encode()[:2000])
        for descriptor in descriptors:
            os.close(descriptor)


def become_small(*, root: bool, own: bool) -> None:
    """Give up what is not needed; without root, become root of a user namespace of its `own`. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.geteuid(), os.getegid()
    if root:
        for capability in range(_CAPABILITIES):
            if capability not in _KEPT:
                libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    elif own:
        namespace.unshare(namespace.CLONE_NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _sockets_beside(link: socket.socket, tap: int) -> None:
    """New sockets in a namespace that is there already; by a child, since it may lie in another user namespace."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        there = namespace.namespace_of_tap(tap)
        if os.stat("/proc/self/ns/user").st_ino != os.stat(owner := fcntl.ioctl(there, _NS_GET_USERNS)).st_ino:
            namespace.enter(owner, namespace.CLONE_NEWUSER)
        namespace.enter(there)
        listener, names = namespace.make_sockets()
        socket.send_fds(link, [b"ok"], [listener, names])
    except OSError as error:
        with contextlib.suppress(OSError):
            link.send(f"x {error}".encode()[:2000])
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
