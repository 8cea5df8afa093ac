"""Programs that people use go through the policy as they are: Chromium, apt, curl, git, pip; and no further.

A folder on the little internet (see `places`) is a site, an apt archive, a Git repository and a package index at once.
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from desktop_sandbox import Policy, Sandbox
from tests.conftest import RealServer, end_server, free_port, make_home
from tests.machine.places import Places, made_places, needs_places, on_host
from tests.machine.support import eventually
from tests.network.worlds import GOOD, NAMESERVER

pytestmark = [pytest.mark.machine, needs_places, pytest.mark.timeout(400)]
SITE = "http://good.example.org:8080"
SLOW_S = 300.0  # an interpreter and its libraries, under emulation on a busy host


def make_site(folder: Path) -> None:
    """What the programs ask for."""
    (folder / "page.html").write_text("<title>through the policy</title><h1>Here</h1>")
    make_archive(folder / "deb", folder.parent / "package")
    source = folder.parent / "source"
    source.mkdir()
    (source / "file").write_text("cloned\n")
    who = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
    for line in (["init", "-q"], ["add", "file"], [*who, "commit", "-qm", "one"]):
        subprocess.run(["git", "-C", source, *line], check=True, capture_output=True)
    subprocess.run(["git", "clone", "-q", "--bare", source, folder / "it.git"], check=True, capture_output=True)
    subprocess.run(["git", "-C", folder / "it.git", "update-server-info"], check=True)  # for a server of plain files
    (folder / "simple" / "hello").mkdir(parents=True)
    make_wheel(folder / "simple" / "hello" / "hello-1.0-py3-none-any.whl")


def make_archive(archive: Path, package: Path) -> None:
    """A flat apt archive with one package of one file."""
    (package / "DEBIAN").mkdir(parents=True)
    control = "Package: hello-there\nVersion: 1\nArchitecture: all\nMaintainer: T <t@t.org>\nDescription: one file\n"
    (package / "DEBIAN" / "control").write_text(control)
    (package / "opt").mkdir()
    (package / "opt" / "there").write_text("installed\n")
    archive.mkdir()
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", package, archive / "it.deb"],
        check=True,
        capture_output=True,
    )
    deb = (archive / "it.deb").read_bytes()
    index = f"{control}Filename: ./it.deb\nSize: {len(deb)}\nSHA256: {hashlib.sha256(deb).hexdigest()}\n"
    (archive / "Packages").write_text(index)
    digest = hashlib.sha256(index.encode()).hexdigest()
    (archive / "Release").write_text(f"Suite: it\nSHA256:\n {digest} {len(index)} Packages\n")


def make_wheel(wheel: Path) -> None:
    """A Python package of one line."""
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("hello.py", "WORD = 'imported'\n")
        about = "hello-1.0.dist-info"
        file.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: hello\nVersion: 1.0\n")
        file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{about}/RECORD", f"hello.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Files, without a line for each request."""

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def places() -> Iterator[Places]:
    with made_places() as made:
        yield made


@pytest.fixture(scope="module")
def far_server(places: Places, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    folder = tmp_path_factory.mktemp("programs")
    site = folder / "site"
    site.mkdir()
    make_site(site)
    handler = functools.partial(Quiet, directory=site)
    files = places.internet.within(lambda: http.server.ThreadingHTTPServer((GOOD, 8080), handler))
    threading.Thread(target=files.serve_forever, daemon=True).start()
    running = RealServer(make_home(folder / "home"), free_port(), preloaded=False)
    places.host.within(lambda: running.start(DESKTOP_SANDBOX_DNS=f"{NAMESERVER}:53"))
    yield running
    end_server(running)
    files.shutdown()
    files.server_close()


@on_host
def test_programs_work_through_the_policy_and_are_refused_beside_it(places: Places, far_server: RealServer) -> None:
    policy = Policy(allow=["good.example.org"])
    with Sandbox.create("desktop", network=policy, timeout=1800, **far_server.client()) as sandbox:

        def run(line: str, user: str = "user") -> str:
            return sandbox.commands.run(line, user=user, timeout=SLOW_S).stdout

        def refused(line: str, user: str = "user") -> str:
            result = sandbox.commands.run(line, user=user, timeout=SLOW_S, check=False)
            assert result.exit_code != 0, line
            return result.stdout + result.stderr

        assert "<title>through the policy</title>" in run(f"curl -fsS {SITE}/page.html")
        assert "the bad page" not in refused("curl -fsS --max-time 60 http://bad.example.net/")
        assert run(f"git clone -q {SITE}/it.git /tmp/it && cat /tmp/it/file") == "cloned\n"
        refused("git clone -q http://bad.example.net/it.git /tmp/bad")

        pip = "PYTHONPATH=$(echo /usr/share/python-wheels/pip-*.whl) python3 -m pip --disable-pip-version-check -q"
        index = f"--index-url {SITE}/simple/ --trusted-host good.example.org"
        run(f"{pip} install --target /tmp/packages {index} hello")
        assert run("PYTHONPATH=/tmp/packages python3 -c 'import hello; print(hello.WORD)'") == "imported\n"

        alone = "-o Dir::Etc::sourcelist=/tmp/its.list -o Dir::Etc::sourceparts=-"
        run(f"echo 'deb [trusted=yes] {SITE}/deb ./' > /tmp/its.list && apt-get {alone} -qq update", "root")
        run(f"apt-get {alone} -qq -y install hello-there", "root")
        assert run("cat /opt/there") == "installed\n"

        def titles() -> str:
            return "; ".join(window.title for window in sandbox.windows())

        sandbox.open(f"{SITE}/page.html")
        eventually(lambda: "through the policy" in titles(), seconds=SLOW_S, every_s=2)
        sandbox.open("http://bad.example.net/")
        eventually(lambda: "bad.example.net" in titles(), seconds=SLOW_S, every_s=2)
        entries = sandbox.network.log()
        assert {entry.name for entry in entries if entry.outcome == "allowed"} == {"good.example.org"}
        assert "bad.example.net" in {entry.name for entry in entries if entry.outcome == "refused"}
