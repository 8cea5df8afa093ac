"""The base: Debian with a recipe's packages as a disk image, cached by what it is made of.

mmdebstrap makes the tree, mke2fs the ext4 file system; nothing of this project lies in it yet (see layin).
Runs as root, or without any privilege through user namespaces.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from guest_image.builder import mirrors, wheels
from guest_image.builder.process import Runner, contained
from guest_image.recipe import Recipe

BASE_PACKAGES = (
    "at-spi2-core", "busybox-static", "ca-certificates", "dbus", "dbus-user-session", "file",
    "fontconfig", "iproute2", "kmod", "less", "libpam-systemd", "linux-image-cloud-amd64", "nano",
    "netbase", "openssh-client", "procps", "psmisc", "python3", "scrot", "sudo", "systemd",
    "systemd-sysv", "tzdata", "udev", "unzip", "x11-utils", "x11-xserver-utils", "xclip", "xdotool",
    "xfonts-base", "xvfb", "xz-utils",
)  # fmt: skip

EXCLUDED = ("/usr/share/man/*", "/usr/share/info/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/help/*")
INCLUDED = ("/usr/share/doc/*/copyright",)

# Run in the tree ($1) once all packages are there. Times of font directories lose their fractions on the disk, and
# fontconfig would take its caches for old. mmdebstrap's apt settings (the host's proxies and mirrors) go.
SETTLE = """
set -eu
chroot "$1" useradd --uid 1000 --user-group --create-home --shell /bin/bash --comment User user
chroot "$1" usermod --append --groups audio,video,plugdev user
mkdir -p "$1"/opt/desktop-sandbox/site
tar -x --no-same-owner -C "$1"/opt/desktop-sandbox/site < {site}
chroot "$1" python3 -m compileall -q /opt/desktop-sandbox/site
if [ -d "$1"/usr/share/fonts ]; then
    # inside, since fonts are also reached through absolute links
    chroot "$1" find -L /usr/share/fonts /usr/local/share/fonts -type d -exec touch -d @1735689600 {{}} +
    chroot "$1" fc-cache --force --system-only
fi
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
        "wheels": [wheels.REQUIREMENTS.read_text(), *recipe.python_packages],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def make_base(
    recipe: Recipe, site: bytes, disk: Path, scratch: Path, runner: Runner, progress: Callable[[float, str], None]
) -> None:
    """Build the base into `disk` (a new, sparse raw file). `progress` gets fractions 0..1. Raises BuildError.

    `site`: a tar archive of the Python packages that the guest gets (see wheels).
    """
    root = os.geteuid() == 0
    uuid = str(_uuid(base_digest(recipe)))
    sources = mirrors.host_mirrors().lines(recipe.suite)
    disk.touch()
    disk.chmod(0o666)  # the mapped root of a user namespace writes it through our descriptor
    with disk.open("r+b") as target, tempfile.TemporaryFile(dir=scratch) as packages:
        packages.write(site)
        packages.flush()
        os.fchmod(packages.fileno(), 0o644)
        size = f"{recipe.disk_gib}G"
        make_disk = MAKE_DISK.format(uuid=uuid, target=f"/proc/self/fd/{target.fileno()}", size=size)
        settle = SETTLE.format(site=f"/proc/self/fd/{packages.fileno()}")
        argv = mmdebstrap_command(recipe, sources, [settle, make_disk], mirrors.host_apt_options(), root=root)
        large = str(scratch) if root else "/var/tmp"  # noqa: S108  (mapped users cannot enter our directories)
        env = {"INITRD": "No", "SOURCE_DATE_EPOCH": "1735689600", "TMPDIR": large}
        follow = _Follower(progress)
        runner.run(
            contained(argv) if root else argv, on_line=follow, env=env, pass_fds=[target.fileno(), packages.fileno()]
        )
    disk.chmod(0o644)


def mmdebstrap_command(
    recipe: Recipe, sources: list[str], hooks: list[str], options: Mapping[str, str], *, root: bool
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
        *(f"--customize-hook={hook}" for hook in hooks),
        recipe.suite,
        "-",
        *sources,
    ]


def _uuid(digest: str) -> str:
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"


class _Follower:
    """Turns mmdebstrap's output into a fraction: two apt runs (the essential packages, then all the rest), the disk."""

    _RUNS = ((0.0, 0.1), (0.1, 0.9))
    _LINES = re.compile(r"(Get:\d+|Unpacking|Setting up) (\S+)")

    def __init__(self, progress: Callable[[float, str], None]) -> None:
        self._progress = progress
        self._run = -1
        self._total = 1
        self._seen = 0

    def __call__(self, line: str) -> None:
        count = re.search(r"(\d+) newly installed", line)
        if count:
            self._run = min(self._run + 1, len(self._RUNS) - 1)
            self._total, self._seen = 3 * int(count[1]), 0
        elif "running --customize-hook" in line:
            self._progress(0.92, "writing the disk")
        elif self._run >= 0 and (match := self._LINES.match(line)):
            self._seen += 1
            start, end = self._RUNS[self._run]
            words = line.split()
            name = words[4] if match[1].startswith("Get:") and len(words) > 4 else match[2]
            self._progress(start + (end - start) * min(1.0, self._seen / self._total), name)
