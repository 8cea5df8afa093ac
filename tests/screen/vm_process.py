"""Plays the VM process: maps pages of files here and there into a large 'guest RAM', then waits until stdin closes.

Argument: JSON {"ram_bytes", "pages": [[file, file offset, ram offset], ...]}. Prints the address of the RAM.
"""

import ctypes
import json
import os
import sys

PAGE = 4096
PROT_READ, PROT_RW = 1, 3
SHARED, PRIVATE, FIXED, ANONYMOUS, NORESERVE = 1, 2, 0x10, 0x20, 0x4000

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]


def mmap(address, length, protection, flags, fd, offset):
    result = libc.mmap(address, length, protection, flags, fd, offset)
    if result == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "mmap")
    return result


def main():
    plan = json.loads(sys.stdin.readline())
    base = mmap(None, plan["ram_bytes"], PROT_RW, PRIVATE | ANONYMOUS | NORESERVE, -1, 0)
    files = {}
    for name, offset, ram_offset in plan["pages"]:
        if name not in files:
            files[name] = os.open(name, os.O_RDONLY)
        mmap(base + ram_offset, PAGE, PROT_READ, SHARED | FIXED, files[name], offset)
    print(base, flush=True)
    sys.stdin.read()


main()
