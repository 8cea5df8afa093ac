"""What the desktop consists of: fresh browser, apps, fonts, Chromium's own sandbox, a quiet system."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from desktop_sandbox import Sandbox
from desktop_sandbox.microvm.host import process_cpu_seconds
from desktop_sandbox.snapshots.build import QUIET_CPU
from tests.desktop.conftest import close, until, wait_active, wait_window, window
from tests.machine.support import gone, machine_pid

pytestmark = pytest.mark.desktop

# one page that says "Hello", made by hand: a PDF needs no exact offsets for readers to open it
PDF = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>endobj
4 0 obj<</Length 41>>stream
BT /F 36 Tf 60 90 Td (Hello, PDF) Tj ET
endstream endobj
5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj
trailer<</Root 1 0 R>>
%%EOF
"""
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFUlEQVR4nGP4z8CAFTEMKonB6S4AffY/wYHVU0UAAAAASUVORK5CYII="
)


def test_a_new_desktop_shows_its_browser_and_opens_a_file_in_it(make_sandbox: Callable[..., Sandbox]) -> None:
    fresh = make_sandbox("desktop")
    browser = window(fresh, "chromium")
    assert browser is not None, "the browser's window is not there right after create"
    assert browser.active
    assert "about:blank" in browser.title
    others = {w.window_class.lower() for w in fresh.windows()} - {"chromium", "xfdesktop", "xfce4-panel"}
    assert not others, f"something else is open: {others}"
    size = fresh.capture().width
    assert browser.width >= size - 20, "the browser is not maximised"
    fresh.files.write("/home/user/Documents/hello.html", "<title>Good morning</title><h1>Hello</h1>")
    fresh.open("file:///home/user/Documents/hello.html")
    wait_window(fresh, "good morning")
    # one that was killed starts again without asking whether another computer uses its profile
    fresh.commands.run(["pkill", "-9", "-x", "chromium"])
    until(lambda: window(fresh, "chromium") is None, "the end of the browser")
    fresh.open("file:///home/user/Documents/hello.html")
    wait_window(fresh, "good morning")


def test_the_panels_clock_is_right_after_each_restore(make_sandbox: Callable[..., Sandbox]) -> None:
    fresh = make_sandbox("desktop")

    def is_right() -> bool:
        clock = fresh.read_text(region=(1100, 760, 180, 40)).text
        now = datetime.now(UTC)
        return any((now - timedelta(minutes=late)).strftime("%H:%M") in clock for late in (0, 1))

    def shape() -> str:
        return fresh.commands.run("xfconf-query -c xfce4-panel -p /plugins/plugin-10/digital-time-format").stdout

    until(is_right, "the clock of a new desktop to be right", 30.0)
    # it looks at the time when its format becomes another: in a child it must become another than the saved one
    before = shape()
    fresh.rollback(fresh.checkpoint("clock"))
    until(lambda: shape() != before, "the clock's format to change")
    until(is_right, "the clock to be right after a rollback")


def test_a_desktop_that_nobody_touched_asks_nobody_for_anything_and_comes_to_rest(
    make_sandbox: Callable[..., Sandbox],
) -> None:
    awake = make_sandbox("desktop", freeze_after=0)
    rests = make_sandbox("desktop", freeze_after=3)
    until(lambda: rests.get_info().frozen, "the desktop to stand still", 60)
    time.sleep(15)  # its browser would have asked for accounts and updates by now
    network = awake.network.get()
    assert network.available
    assert (network.counters["lookups"], network.counters["connections"]) == (0, 0), awake.network.log()


@pytest.mark.parametrize(
    ("app", "window_class", "program"),
    [("thunar", "thunar", "thunar"), ("xfce4-terminal", "xfce4-terminal", "xfce4-terminal")],
)
def test_apps_open_by_name(desktop: Sandbox, app: str, window_class: str, program: str) -> None:
    desktop.launch(app)
    wait_active(desktop, window_class)
    close(desktop, program)


@pytest.mark.parametrize(
    ("name", "data", "window_class"),
    [("a.pdf", PDF, "atril"), ("b.png", PNG, "ristretto"), ("c.txt", "Привет, мир\n".encode(), "mousepad")],
)
def test_files_open_in_their_apps(desktop: Sandbox, name: str, data: bytes, window_class: str) -> None:
    path = f"/home/user/Documents/{name}"
    desktop.files.write(path, data)
    desktop.open(path)
    wait_window(desktop, window_class)
    until(lambda: name in wait_window(desktop, window_class).title, f"{name} in the title of {window_class}")
    close(desktop, window_class)


def test_chromium_keeps_its_own_sandbox(desktop: Sandbox) -> None:
    script = r"""
    mine=$(readlink /proc/self/ns/pid); net=$(readlink /proc/self/ns/net)
    for pid in $(pgrep -f '^/usr/lib/chromium/chromium --type=renderer'); do
        echo "renderer seccomp=$(awk '/^Seccomp:/{print $2}' /proc/$pid/status)" \
            "pid=$([ "$(readlink /proc/$pid/ns/pid)" = "$mine" ] && echo same || echo own)" \
            "net=$([ "$(readlink /proc/$pid/ns/net)" = "$net" ] && echo same || echo own)" \
            "uid=$(stat -c %u /proc/$pid)"
    done
    pgrep -f '^/usr/lib/chromium/chromium .*--no-sandbox' && echo FLAG
    true
    """
    lines = desktop.commands.run(["bash", "-c", script], user="root").stdout.splitlines()
    assert lines, "no renderer runs"
    assert set(lines) == {"renderer seccomp=2 pid=own net=own uid=1000"}


def test_accessibility_bus_is_up(desktop: Sandbox) -> None:
    answer = desktop.commands.run(
        "gdbus call --session --dest org.a11y.Bus --object-path /org/a11y/bus --method org.a11y.Bus.GetAddress"
    )
    assert "unix:path=" in answer.stdout


def test_fonts_have_every_script(desktop: Sandbox) -> None:
    samples = {
        "Latin": "Aßłđẞ€", "Cyrillic": "ЖёЂў", "Greek": "αΩ", "Chinese": "世界龍", "Japanese": "こカ", "Korean": "안녕",
        "Arabic": "مرح", "Hebrew": "שלו", "Hindi": "नमस", "Thai": "สวั", "maths": "∑√≤→", "emoji": "🙂🚀✅🇩",
    }  # fmt: skip
    script = "".join(
        f"echo {ord(c):x} $(fc-list :charset={ord(c):x} family | wc -l);" for s in samples.values() for c in s
    )
    counts = dict(line.split() for line in desktop.commands.run(script, timeout=200).stdout.splitlines())
    missing = [c for text in samples.values() for c in text if counts[f"{ord(c):x}"] == "0"]
    assert not missing, f"no font has {missing}"
    families = desktop.commands.run("fc-match sans-serif; fc-match monospace; fc-match emoji").stdout
    assert "Emoji" in families


def test_the_system_is_quiet(desktop: Sandbox) -> None:
    def root(command: str) -> str:
        return desktop.commands.run(command, user="root", check=False).stdout.strip()

    assert root("systemctl --failed --no-legend --plain") == ""
    assert root("systemctl list-timers --no-legend") == ""
    assert root("find /var/log/journal -type f") == ""
    assert root("ls /run/log/journal") != ""
    assert root("cat /sys/kernel/mm/transparent_hugepage/shmem_enabled").find("[never]") >= 0
    assert root("pgrep -a 'tumblerd|packagekitd|gvfsd-trash|xfce4-notifyd|xfce4-power' || true") == ""


def test_apt_knows_the_archive_and_not_the_hosts_mirror(desktop: Sandbox) -> None:
    sources = desktop.commands.run("cat /etc/apt/sources.list.d/*; ls /etc/apt/sources.list 2>/dev/null", check=False)
    lines = [line for line in sources.stdout.splitlines() if line.startswith(("URIs", "Suites"))]
    assert lines == [
        "URIs: http://deb.debian.org/debian", "Suites: trixie trixie-updates",
        "URIs: http://deb.debian.org/debian-security", "Suites: trixie-security",
    ]  # fmt: skip
    proxies = desktop.commands.run("apt-config dump | grep -i -E 'proxy|mirror' || true").stdout
    assert "http" not in proxies


def test_the_guest_is_idle_when_nobody_acts(make_sandbox: Callable[..., Sandbox]) -> None:
    """It leaves the host's processors alone, awake: as quiet as its template had to be."""
    awake = make_sandbox("desktop", freeze_after=0)
    pid = machine_pid(awake)

    def share() -> float:
        before, began = process_cpu_seconds(pid), time.monotonic()
        time.sleep(3)
        return (process_cpu_seconds(pid) - before) / (time.monotonic() - began)

    until(lambda: share() < QUIET_CPU, "a new desktop to come to rest", 60)
    assert share() < 2 * QUIET_CPU, "it stays at rest"
    assert not awake.get_info().frozen
    assert not gone(pid)
