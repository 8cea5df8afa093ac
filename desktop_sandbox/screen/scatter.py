"""process_vm_readv(2): many places of another process's memory in one system call, half the time of /proc/PID/mem.

It needs the right to trace that process at every call, so it is a short cut where that right is there, never the
only way. It names a process by its id, which the kernel may give away again: the caller must verify afterwards
that the process lived all along.
"""

from __future__ import annotations

import ctypes

import numpy as np
import numpy.typing as npt

IOV_MAX = 1024
Places = npt.NDArray[np.uint64]
"""(count, 2): address and length, laid out as an array of struct iovec."""

_libc = ctypes.CDLL(None, use_errno=True)
_readv = _libc.process_vm_readv
_readv.restype = ctypes.c_ssize_t
_vector = (ctypes.c_void_p, ctypes.c_ulong)
_readv.argtypes = [ctypes.c_int, *_vector, *_vector, ctypes.c_ulong]


class ProcessReader:
    """Reads from one process; `usable` turns False for good once the kernel has refused."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.usable = True

    def read(self, target: npt.NDArray[np.uint8], places: Places) -> bool:
        """Fill `target` (contiguous) with the places' bytes one after another; False if not all could be read."""
        address = target.ctypes.data
        for first in range(0, len(places), IOV_MAX):
            batch = places[first : first + IOV_MAX]
            wanted = int(batch[:, 1].sum())
            local = np.array([[address, wanted]], np.uint64)
            if _readv(self._pid, local.ctypes.data, 1, batch.ctypes.data, len(batch), 0) != wanted:
                self.usable = False
                return False
            address += wanted
        return True
