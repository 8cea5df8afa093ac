"""The arrows between the rooms: who may import whom. See ARCHITECTURE.md."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
ROOMS = ("actions", "guest_image", "streamer", "desktop_sandbox")
# room → rooms it may know; doors → the modules of a room that other rooms may import
MAY_KNOW = {
    "actions": set(),
    "guest_image": {"actions"},
    "streamer": {"actions", "desktop_sandbox"},
    "desktop_sandbox": {"actions", "guest_image", "streamer"},
}
DOORS = {
    "guest_image": {
        "guest_image.recipe",
        "guest_image.builder",
        "guest_image.agent.protocol",
        "guest_image.agent.state_page",
    },
    "streamer": {"streamer.control"},
    # one reader of frames for screenshots and stream; it knows nothing of the control plane but the errors
    "desktop_sandbox": {"desktop_sandbox.screen", "desktop_sandbox.errors"},
}
# inside the control plane, lower may not know higher
LAYERS = ["errors", "config", "microvm", "network", "snapshots", "screen", "vision", "node", "stream", "api", "cli"]
IN_GUEST = ("actions", "guest_image/agent", "guest_image/session")
HOST_ONLY = {"actions/validate.py", "actions/generate_keysyms.py"}
GUEST_LIBRARIES = {"Xlib", "pynput", "xvfbwrapper"}


def modules(folder: str) -> list[Path]:
    return sorted((TOP / folder).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Full names of everything a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def is_door(name: str, doors: set[str]) -> bool:
    return any(name == door or name.startswith(f"{door}.") for door in doors)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_knows_only_the_rooms_below_it(room: str) -> None:
    for path in modules(room):
        for name in imports(path):
            other = name.split(".")[0]
            if other in ROOMS and other != room:
                assert other in MAY_KNOW[room], f"{path.relative_to(TOP)} imports {name}"
                if other in DOORS:
                    assert is_door(name, DOORS[other]), f"{path.relative_to(TOP)} goes past the door: {name}"


def test_the_frame_reader_brings_nothing_of_the_control_plane() -> None:
    """The streamer parses strangers' packets: what it loads of the control plane is the reader and the errors."""
    import subprocess
    import sys

    script = "import sys, streamer.service; print(*(n for n in sys.modules if n.startswith('desktop_sandbox.')))"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=TOP, capture_output=True, text=True, check=True)
    known = ("desktop_sandbox.screen", "desktop_sandbox.errors", "desktop_sandbox.version")
    assert [name for name in loaded.stdout.split() if not name.startswith(known)] == []


def test_the_control_plane_is_layered() -> None:
    for path in modules("desktop_sandbox"):
        parts = path.relative_to(TOP / "desktop_sandbox").with_suffix("").parts
        if parts[0] not in LAYERS:
            continue
        own = LAYERS.index(parts[0])
        for name in imports(path):
            pieces = name.split(".")
            if pieces[0] == "desktop_sandbox" and len(pieces) > 1 and pieces[1] in LAYERS:
                above = LAYERS.index(pieces[1]) > own
                # what a node shows of itself is spoken of below as well
                allowed = name.startswith(("desktop_sandbox.node.interface", "desktop_sandbox.node.facts"))
                assert not above or allowed, f"{path.relative_to(TOP)} imports upwards: {name}"


def test_what_runs_in_the_guest_needs_only_what_is_there() -> None:
    import sys

    for folder in IN_GUEST:
        for path in modules(folder):
            if str(path.relative_to(TOP)) in HOST_ONLY:
                continue
            for name in imports(path):
                top = name.split(".")[0]
                known = top in sys.stdlib_module_names or top in GUEST_LIBRARIES or top in ("actions", "guest_image")
                assert known, f"{path.relative_to(TOP)} imports {name}, which the guest does not have"
                assert not name.startswith(("guest_image.builder", "guest_image.recipe")), path


def test_nothing_needs_what_is_outside_the_repository() -> None:
    for path in [*TOP.rglob("*.py"), *TOP.rglob("*.toml"), TOP / "Makefile"]:
        if not {".venv", "node_modules"} & set(path.parts) and path != Path(__file__):
            assert "../shared" not in path.read_text(errors="replace"), path
