"""Dials from the host's network. Decides nothing: whoever calls has asked the policy about each of these addresses."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from desktop_sandbox.network.addresses import Address

DIAL_S = 15.0
_MOST = 4


async def dial(candidates: Sequence[Address], port: int) -> tuple[socket.socket, Address]:
    """A connection to the first of these addresses that answers, and that address. OSError or TimeoutError."""
    error: OSError | TimeoutError | None = None
    for address in candidates[:_MOST]:
        sock = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            async with asyncio.timeout(DIAL_S):
                await asyncio.get_running_loop().sock_connect(sock, (str(address), port))
        except TimeoutError:
            sock.close()
            error = TimeoutError(f"{address} did not answer within {DIAL_S:.0f} s")
        except OSError as failed:
            sock.close()
            error = failed
        except BaseException:
            sock.close()
            raise
        else:
            return sock, address
    raise error or OSError("it has no address")
