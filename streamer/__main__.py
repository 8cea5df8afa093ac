"""`python -m streamer --control-fd N`: the media process, started by the server with one end of a socket pair."""

from __future__ import annotations

import argparse
import gc
import logging
import socket

import cv2
import uvloop

from streamer.dtls_patches import patch_dtls
from streamer.ice_patches import patch_aioice
from streamer.rtp_sender import patch_aiortc
from streamer.service import Service

_FULL_COLLECTION = (700, 10, 2)
"""A connection that has ended is full of cycles: 150 KB, which are to go after some ten of them, not sixty."""


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
    gc.collect()
    gc.freeze()  # what was imported is never garbage: without it a full collection takes a millisecond or two
    gc.collect()  # forgets how many objects that were: a full one waits until a quarter as many are new
    gc.set_threshold(*_FULL_COLLECTION)
    uvloop.run(serve(socket.socket(fileno=arguments.control_fd)))


if __name__ == "__main__":
    main()
