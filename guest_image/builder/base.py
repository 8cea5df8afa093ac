"""The base: Debian with a recipe's packages as a disk image, cached by what it is made of.

mmdebstrap makes the tree, mke2fs the ext4 file system; nothing of this project lies in it yet (see layin).
Runs as root, or without any privilege through user namespaces.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from guest_image.builder import mirrors
from guest_image.builder.process import Runner, contained
from guest_image.recipe import Recipe

BASE_PACKAGES = (
    "at-spi2-core", "busybox-static", "ca-certificates", "dbus", "dbus-user-session", "file", "iproute2", "kmod",
    "less", "libpam-systemd", "linux-image-cloud-amd64", "nano", "netbase", "openssh-client", "procps", "psmisc",
    "python3", "scrot", "sudo", "systemd", "systemd-sysv", "tzdata", "udev", "unzip", "x11-utils",
    "x11-xserver-utils", "xclip", "xdotool", "xfonts-base", "xvfb", "xz-utils",
)  # fmt: skip

EXCLUDED = ("/usr/share/man/*", "/usr/share/info/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/help/*")
INCLUDED = ("/usr/share/doc/*/copyright",)

# Run in the tree ($1) once all packages are there. mmdebstrap's own apt settings (the host's proxies and mirrors) go.
SETTLE = """
set -eu
chroot "$1" useradd --uid 1000 --user-group --create-home --shell /bin/bash --comment User user
chroot "$1" usermod --append --groups audio,video,plugdev user
rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/*
rm -f "$1"/boot/initrd* "$1"/var/cache/ldconfig/aux-cache "$1"/var/log/*.log "$1"/var/log/apt/*
rm -rf "$1"/var/cache/apt/*.bin "$1"/usr/share/doc-base
mv "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap "$1"/etc/dpkg/dpkg.cfg.d/small-image 2>/dev/null || true
: > "$1"/etc/resolv.conf
echo 0123456789abcdef0123456789abcdef > "$1"/etc/machine-id
rm -f "$1"/var/lib/dbus/machine-id && mkdir -p "$1"/var/lib/dbus
ln -s /etc/machine-id "$1"/var/lib/dbus/machine-id
"""

# A bind mount without what is mounted below it, so that /proc does not end up on the disk.
MAKE_DISK = """
set -eu
plain=$(mktemp -d)
mount --bind "$1" "$plain"
mke2fs -q -F -t ext4 -b 4096 -m 1 -L desktop -J size=32 -U {uuid} -E hash_seed={uuid} -d "$plain" {target} {size}
umount "$plain"
rmdir "$plain"
"""


def base_digest(recipe: Recipe) -> str:
    """Digest of all that decides what the base is (64 hex digits): packages, suite, size and steps."""
    facts = {
        "suite": recipe.suite,
        "packages": sorted({*BASE_PACKAGES, *recipe.packages}),
        "disk_gib": recipe.disk_gib,
        "excluded": [EXCLUDED, INCLUDED],
        "steps": [SETTLE, MAKE_DISK],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def make_base(recipe: Recipe, disk: Path, scratch: Path, runner: Runner, progress: Callable[[float, str], None]) -> None:
    """Build the base into `disk` (a new, sparse raw file). `progress` gets fractions 0..1. Raises BuildError."""
    root = os.geteuid() == 0
    uuid = str(_uuid(base_digest(recipe)))
    sources = mirrors.host_mirrors().lines(recipe.suite)
    disk.touch()
    disk.chmod(0o666)  # the mapped root of a user namespace writes it through our descriptor
    with disk.open("r+b") as target:
        size = f"{recipe.disk_gib}G"
        make_disk = MAKE_DISK.format(uuid=uuid, target=f"/proc/self/fd/{target.fileno()}", size=size)
        argv = mmdebstrap_command(recipe, sources, make_disk, mirrors.host_apt_options(), root=root)
        env = {"INITRD": "No", "SOURCE_DATE_EPOCH": "1735689600", "TMPDIR": str(scratch) if root else "/var/tmp"}
        follow = _Follower(progress)
        runner.run(contained(argv) if root else argv, on_line=follow, env=env, pass_fds=[target.fileno()])
    disk.chmod(0o644)


def mmdebstrap_command(
    recipe: Recipe, sources: list[str], make_disk: str, options: Mapping[str, str], *, root: bool
) -> list[str]:
    """The command line of mmdebstrap."""
    return [
        "mmdebstrap",
        f"--mode={'root' if root else 'unshare'}",
        "--variant=apt",
        "--format=null",
        "--architectures=amd64",
        "--verbose",
        f"--keyring={mirrors.ARCHIVE_KEYRING}",
        '--aptopt=APT::Install-Recommends "false"',
        *(f"--aptopt={key} {json.dumps(value)}" for key, value in options.items()),
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in EXCLUDED),
        *(f"--dpkgopt=path-include={pattern}" for pattern in INCLUDED),
        f"--include={','.join(sorted({*BASE_PACKAGES, *recipe.packages}))}",
        f"--customize-hook={SETTLE}",
        f"--customize-hook={make_disk}",
        recipe.suite,
        "-",
        *sources,
    ]


def _uuid(digest: str) -> str:
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"


class _Follower:
    """Turns mmdebstrap's output into a fraction: packages fetched, unpacked and set up, then the disk."""

    _WEIGHTS = ((r"Get:\d+ ", 0.3), (r"(Unpacking|Selecting previously) ", 0.3), (r"Setting up ", 0.3))

    def __init__(self, progress: Callable[[float, str], None]) -> None:
        self._progress = progress
        self._patterns = [(re.compile(pattern), weight) for pattern, weight in self._WEIGHTS]
        self._seen = [0] * len(self._patterns)
        self._total = 1
        self._best = 0.0

    def __call__(self, line: str) -> None:
        count = re.search(r"(\d+) newly installed", line)
        if count:
            self._total = max(self._total, int(count[1]))
        if "running --customize-hook" in line:
            self._report(0.92, "disk")
        for index, (pattern, _) in enumerate(self._patterns):
            if pattern.match(line):
                self._seen[index] += 1
                words = line.split()
                self._report(self._fraction(), words[2] if index == 2 and len(words) > 2 else words[1])

    def _fraction(self) -> float:
        pairs = zip(self._seen, self._patterns, strict=True)
        return sum(weight * min(1.0, seen / self._total) for seen, (_, weight) in pairs)

    def _report(self, fraction: float, message: str) -> None:
        self._best = max(self._best, fraction)
        self._progress(self._best, message)
