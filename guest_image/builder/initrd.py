"""The initrd: finds the disk, lays our files over it when they changed, and hands over to its init."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from guest_image.builder import cpio

INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /new
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
mkdir -p /dev/net && mknod -m 666 /dev/net/tun c 10 200
mknod -m 660 /dev/loop-control c 10 237 && chown 0:6 /dev/loop-control
mount -t proc proc /proc
for module in $(cat /modules/order); do insmod /modules/$module; done
tries=0
until [ -b /dev/vda ]; do
    tries=$((tries + 1))
    if [ $tries -gt 1500 ]; then echo "initrd: no disk /dev/vda after 30 s"; poweroff -f; fi
    usleep 20000
done
mount -t ext4 -o noatime,noinit_itable /dev/vda /new || { echo "initrd: cannot mount /dev/vda"; poweroff -f; }
if [ "$(cat /layin.digest)" != "$(cat /new/opt/desktop-sandbox/digest 2>/dev/null)" ]; then
    cp -a /layin/. /new/ || { echo "initrd: cannot lay the files in"; poweroff -f; }
    sync
    cp /layin.digest /new/opt/desktop-sandbox/digest
fi
umount /proc
mount -o move /dev /new/dev
exec switch_root /new /sbin/init
"""


def compose(
    busybox: bytes, modules: Sequence[tuple[str, bytes]], layin: Iterable[cpio.Entry], layin_digest: str
) -> bytes:
    """The initrd's bytes (uncompressed: unpacking costs an emulated guest more than reading)."""
    entries = [
        cpio.Entry.file("init", INIT.encode(), 0o755),
        cpio.Entry.file("bin/busybox", busybox, 0o755),
        cpio.Entry.file("modules/order", "".join(f"{name}\n" for name, _ in modules).encode()),
        *(cpio.Entry.file(f"modules/{name}", data) for name, data in modules),
        cpio.Entry.file("layin.digest", f"{layin_digest}\n".encode()),
        *(cpio.Entry(f"layin/{item.path}", item.mode, item.data, item.uid, item.gid) for item in layin),
    ]
    return cpio.write(cpio.with_parents(entries))
