"""What is laid over a base: the recipe's trees, our packages, and which units are on or off.

Collected on the host as cpio entries; the initrd copies them over the disk when their digest is another one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import actions
import guest_image
from guest_image.builder import cpio
from guest_image.recipe import TREE_DIRECTORY, Recipe

HOME = "opt/desktop-sandbox"
USER_ID = 1000
OWNERS = {"home/user": USER_ID}
NOT_LAID_IN = {"__pycache__", "dialects"}  # the guest knows no vendor: a new dialect makes no new image

ENABLED = {
    "multi-user.target.wants": ("desktop-session.service", "desktop-agent.service"),
}
MASKED = (
    "apt-daily.service", "apt-daily.timer", "apt-daily-upgrade.service", "apt-daily-upgrade.timer",
    "dpkg-db-backup.service", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer",
    "logrotate.timer", "man-db.timer", "systemd-tmpfiles-clean.timer", "motd-news.timer", "fwupd-refresh.timer",
    "getty@tty1.service", "getty.target", "autovt@.service", "serial-getty@ttyS0.service", "serial-getty@hvc0.service",
    "console-getty.service", "systemd-networkd-wait-online.service", "systemd-timesyncd.service",
    "systemd-random-seed.service", "systemd-journal-catalog-update.service", "systemd-hwdb-update.service",
    "systemd-update-done.service", "systemd-firstboot.service", "systemd-machine-id-commit.service",
    "systemd-pstore.service", "systemd-tpm2-setup.service", "systemd-tpm2-setup-early.service",
    "systemd-pcrphase.service", "systemd-pcrphase-sysinit.service", "systemd-rfkill.service", "systemd-rfkill.socket",
    "systemd-backlight@.service", "systemd-udev-settle.service", "systemd-update-utmp.service",
    "systemd-ask-password-console.path", "systemd-ask-password-wall.path", "systemd-repart.service",
    "dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",
    "sys-fs-fuse-connections.mount", "sys-kernel-config.mount", "modprobe@configfs.service",
    "modprobe@fuse.service", "modprobe@drm.service", "modprobe@efi_pstore.service", "modprobe@dm_mod.service",
    "modprobe@loop.service", "ldconfig.service", "keyboard-setup.service", "console-setup.service",
    "NetworkManager-wait-online.service", "x11-common.service", "saned.socket", "upower.service", "udisks2.service",
    "colord.service", "accounts-daemon.service", "cups.service", "cups.socket", "cups.path", "ssh.service",
    "systemd-binfmt.service", "proc-sys-fs-binfmt_misc.automount", "systemd-modules-load.service",
    "systemd-udev-load-credentials.service", "systemd-sysusers.service", "systemd-journal-flush.service",
    "systemd-hostnamed.socket", "systemd-creds.socket", "systemd-sysext.socket", "systemd-importd.socket",
    "systemd-quotacheck-root.service", "systemd-remount-fs.service",
    "systemd-fsck-root.service", "systemd-hibernate-clear.service",
    # the initrd makes the device nodes that these would make; nobody is kept from logging in while it boots
    "kmod-static-nodes.service", "systemd-tmpfiles-setup-dev-early.service", "systemd-tmpfiles-setup-dev.service",
    "systemd-user-sessions.service", "run-lock.mount", "systemd-initctl.socket",
)  # fmt: skip
USER_MASKED = (
    "gvfs-udisks2-volume-monitor.service", "gvfs-mtp-volume-monitor.service", "gvfs-gphoto2-volume-monitor.service",
    "gvfs-goa-volume-monitor.service", "gvfs-afc-volume-monitor.service", "gpg-agent.socket", "gpg-agent-ssh.socket",
    "gpg-agent-extra.socket", "gpg-agent-browser.socket", "dirmngr.socket", "keyboxd.socket", "ssh-agent.socket",
    "ssh-agent.service", "pipewire.socket", "pipewire-pulse.socket", "pulseaudio.socket", "tumblerd.service",
    "xdg-desktop-portal.service", "xdg-desktop-portal-gtk.service", "xdg-document-portal.service",
    "xdg-permission-store.service", "systemd-tmpfiles-clean.timer", "tracker-miner-fs-3.service", "obex.service",
    "evolution-source-registry.service", "background.slice", "p11-kit-server.socket", "xfce4-notifyd.service",
)  # fmt: skip

MASKED_GENERATORS = {
    "system-generators": (
        "systemd-getty-generator", "systemd-gpt-auto-generator", "systemd-hibernate-resume-generator",
        "systemd-run-generator", "systemd-ssh-generator", "systemd-system-update-generator", "systemd-tpm2-generator",
    ),
    "user-generators": ("systemd-xdg-autostart-generator",),
}  # fmt: skip


def collect(recipe: Recipe) -> list[cpio.Entry]:
    """All entries of the lay-in, parents first; paths relative to the disk's root."""
    entries = [
        *(entry for tree in recipe.trees for entry in tree_entries(TREE_DIRECTORY / tree)),
        *package_entries(),
        *unit_entries(),
        cpio.Entry.file("etc/desktop-sandbox/recipe.json", recipe_json(recipe)),
    ]
    return cpio.with_parents({entry.path: entry for entry in entries}.values(), OWNERS)


def digest(entries: Iterable[cpio.Entry]) -> str:
    """Digest of the entries (64 hex digits)."""
    return hashlib.sha256(cpio.write(entries)).hexdigest()


def recipe_json(recipe: Recipe) -> bytes:
    """What the session in the guest needs to know of its recipe."""
    facts = {
        "name": recipe.name,
        "resolution": recipe.resolution,
        "max_resolution": recipe.max_resolution,
        "environment": dict(recipe.environment),
        "window_manager": recipe.window_manager,
        "clock_set": recipe.clock_set,
        "apps": [asdict(app) for app in recipe.apps],
    }
    return json.dumps(facts, indent=1, sort_keys=True).encode()


def tree_entries(top: Path) -> Iterator[cpio.Entry]:
    """Files of a tree that mirrors `/`. Scripts (#!) are executable; what lies in the user's home belongs to them."""
    for path in sorted(top.rglob("*")):
        name = path.relative_to(top).as_posix()
        owner = USER_ID if name.startswith("home/user/") else 0
        if path.is_symlink():
            yield cpio.Entry.link(name, str(path.readlink()), owner)
        elif path.is_file():
            data = path.read_bytes()
            yield cpio.Entry.file(name, data, 0o755 if data.startswith(b"#!") else 0o644, owner)


def package_entries() -> Iterator[cpio.Entry]:
    """The packages that run in the guest: actions, and of guest_image the agent, the session and code contexts."""
    image = Path(guest_image.__file__).parent
    sources = [image / "__init__.py", *_sources(Path(actions.__file__).parent)]
    sources += [*_sources(image / "agent"), *_sources(image / "session"), *_sources(image / "code")]
    for path in sources:
        yield cpio.Entry.file(f"{HOME}/lib/{path.relative_to(image.parent).as_posix()}", path.read_bytes())


def _sources(top: Path) -> list[Path]:
    return sorted(p for p in top.rglob("*") if p.is_file() and not NOT_LAID_IN & set(p.relative_to(top).parts))


def unit_entries() -> Iterator[cpio.Entry]:
    """Links that turn systemd units on and off."""
    for target, units in ENABLED.items():
        for unit in units:
            yield cpio.Entry.link(f"etc/systemd/system/{target}/{unit}", f"/etc/systemd/system/{unit}")
    for unit in MASKED:
        yield cpio.Entry.link(f"etc/systemd/system/{unit}", "/dev/null")
    for unit in USER_MASKED:
        yield cpio.Entry.link(f"etc/systemd/user/{unit}", "/dev/null")
    for folder, names in MASKED_GENERATORS.items():
        for name in names:
            yield cpio.Entry.link(f"etc/systemd/{folder}/{name}", "/dev/null")
    # no /run/nologin, which systemd-user-sessions would have to take away again
    yield cpio.Entry.link("etc/tmpfiles.d/systemd-nologin.conf", "/dev/null")
