"""What is typed must be what real applications hold: xterm, a GTK editor, Chromium."""

import contextlib
import http.server
import os
import shutil
import signal
import threading
import time

import pytest

from actions.model import Click, Key, Move, Type
from guest_image.agent.x.windows import list_windows, window_exists

from .conftest import until
from .samples import MIXED, PLAIN, REPEATED, many_characters

TEXT = PLAIN * 4 + MIXED * 3 + REPEATED * 2 + many_characters(450) + PLAIN


def needs(*programs):
    missing = [name for name in programs if not shutil.which(name)]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@contextlib.contextmanager
def throttled(child):
    """Let a process group run a sixteenth of the time, in turns of 10 ms, as on a loaded host."""
    over = threading.Event()

    def throttle():
        while not over.wait(0.01):
            os.killpg(child.pid, signal.SIGSTOP)
            over.wait(0.15)
            os.killpg(child.pid, signal.SIGCONT)

    thread = threading.Thread(target=throttle)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        os.killpg(child.pid, signal.SIGCONT)


SPEEDS = pytest.mark.parametrize("slow", [contextlib.nullcontext, throttled], ids=["quick", "throttled"])


def report(name, text, seconds):
    print(f"\n{name}: {len(text)} characters in {seconds:.2f} s, {len(text) / seconds:.0f} a second")


@SPEEDS
@needs("xterm")
def test_xterm(desktop, performer, tmp_path, slow):
    file = tmp_path / "typed"
    child = desktop.start("xterm", "-u8", "-e", "sh", "-c", f"stty -echo; touch {file}.ready; exec cat > {file}")
    until((tmp_path / "typed.ready").exists, what="the shell in xterm")
    until(lambda: window_exists(performer.connect(), "XTerm"))
    until(lambda: any(window.active for window in list_windows(performer.connect())), what="the focus")
    start = time.monotonic()
    with slow(child):
        performer.perform(Type(TEXT))
        until(lambda: len(file.read_text(errors="replace")) >= len(TEXT), what="all of the text")
    report("xterm", TEXT, time.monotonic() - start)
    assert file.read_text() == TEXT


@SPEEDS
@needs("mousepad", "dbus-run-session")
def test_mousepad(desktop, performer, tmp_path, slow):
    file = tmp_path / "typed.txt"
    file.write_text("")
    home = {"HOME": str(tmp_path), "GSETTINGS_BACKEND": "memory", "XDG_CONFIG_HOME": str(tmp_path / "config")}
    child = desktop.start("dbus-run-session", "--", "mousepad", "--disable-server", str(file), **home)
    until(lambda: window_exists(performer.connect(), "(?i)mousepad"), what="mousepad")
    until(lambda: any(window.active for window in list_windows(performer.connect())), what="the focus")
    text = TEXT.replace("\t", " ")
    start = time.monotonic()
    with slow(child):
        performer.perform(Type(text))
        report("mousepad, until sent", text, time.monotonic() - start)
        performer.perform(Key(("ctrl", "s")))
        until(lambda: len(file.read_text()) >= len(text), what="the saved file", timeout=40)
    report("mousepad, until saved", text, time.monotonic() - start)
    assert file.read_text().rstrip("\n") == text.rstrip("\n")


PAGE = b"""<!doctype html><meta charset=utf-8><title>typing</title>
<textarea id=a autocomplete=off spellcheck=false style="position:fixed;inset:0;width:100%;height:100%"></textarea>
<script>
const tell = text => fetch('/', {method: 'POST', body: text});
let timer; a.oninput = () => { clearTimeout(timer); timer = setTimeout(() => tell(a.value), 100) };
a.onfocus = () => tell('focused');
</script>"""


@pytest.fixture
def page():
    """A page with one text field, and what it holds, as the browser reports it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(PAGE)
            seen["loads"] += self.path == "/"

        def do_POST(self):
            seen["value"] = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    seen = {"value": "", "loads": 0}
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    seen["url"] = f"http://127.0.0.1:{web.server_address[1]}/"
    yield seen
    web.shutdown()
    web.server_close()


@SPEEDS
@needs("chromium")
def test_chromium(desktop, performer, tmp_path, page, slow):
    options = ["--no-first-run", "--disable-gpu", "--password-store=basic", f"--user-data-dir={tmp_path}/profile"]
    if os.getuid() == 0:
        options.append("--no-sandbox")
    child = desktop.start("chromium", *options, f"--app={page['url']}", HOME=str(tmp_path))
    until(lambda: window_exists(performer.connect(), "^typing"), what="the page", timeout=120)
    window = next(window for window in list_windows(performer.connect()) if window.matches("^typing"))
    performer.perform(Move(window.x + 50, window.y + 50))
    middle = (window.x + window.width // 2, window.y + window.height // 2)
    until(lambda: page["value"] == "focused" or performer.perform(Click(*middle)) or time.sleep(0.5), what="the focus")
    performer.perform(Type("ready"))
    until(lambda: page["value"] == "ready", what="the text field")
    performer.perform(Key(("ctrl", "a")))
    text = TEXT.replace("\t", " ").replace("\n", " ")
    start = time.monotonic()
    with slow(child):
        performer.perform(Type(text))
        report("chromium, until sent", text, time.monotonic() - start)
        until(lambda: len(page["value"]) >= len(text), what="all of the text", timeout=120)
    report("chromium, until read back", text, time.monotonic() - start)
    assert page["value"] == text
    assert page["loads"] == 1
