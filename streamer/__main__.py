"""`python -m streamer --control-fd N`: the media process, started by the server with one end of a socket pair."""

from __future__ import annotations

import argparse
import logging
import socket

import cv2
import uvloop

from streamer.dtls_patches import patch_dtls
from streamer.ice_patches import patch_aioice
from streamer.rtp_sender import patch_aiortc
from streamer.service import Service


async def serve(sock: socket.socket) -> None:
    """Serve until the other end closes."""
    await Service(sock).run()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m streamer", description=__doc__)
    parser.add_argument("--control-fd", type=int, required=True, help="descriptor of the control socket")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    arguments = parser.parse_args()
    logging.basicConfig(level=arguments.log_level.upper(), format="%(asctime)s %(levelname).1s %(name)s %(message)s")
    for chatty in ("aioice", "aiortc"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    cv2.setNumThreads(1)  # threads of its own cost more than they save at these sizes
    patch_aiortc()
    patch_aioice()
    patch_dtls()
    uvloop.run(serve(socket.socket(fileno=arguments.control_fd)))


if __name__ == "__main__":
    main()
