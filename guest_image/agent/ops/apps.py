"""app.launch: start an app as if its user had clicked it."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

from guest_image.agent.errors import OpError
from guest_image.agent.registry import items, op, string
from guest_image.agent.spawn import spawn

if TYPE_CHECKING:
    from guest_image.agent.accounts import Account
    from guest_image.agent.call import Call

# xdg-open is some twenty programs, one after the other: two seconds on an emulated processor.
OPENER = ["gio", "open"] if os.access("/usr/bin/gio", os.X_OK) else ["xdg-open"]


@op("app.launch", argv=items(None), name=string(None), desktop_file=string(None), uri=string(None))
async def app_launch(
    call: Call, *, argv: list[Any] | None, name: str | None, desktop_file: str | None, uri: str | None
) -> dict[str, Any]:
    """Start an argument vector, an app by name or .desktop file, or whatever opens `uri`: {"pid"}.

    It runs detached, as the desktop's user, and is not ended with the request.
    """
    agent = call.agent
    account = agent.accounts.get(agent.config.user)
    wanted = name or desktop_file
    if argv is not None:
        if not argv or not all(isinstance(part, str) and "\0" not in part for part in argv):
            raise OpError("invalid", "argv must be a list of at least one string")
        command = [*argv, *([uri] if uri else [])]
    elif wanted is not None:
        command = await agent.files.run(account, find_app, account, wanted, uri)
    elif uri is not None:
        command = [*OPENER, uri]
    else:
        raise OpError("invalid", "app.launch needs argv, name, desktop_file or uri")
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        child = await spawn(
            command,
            account=account,
            env=agent.accounts.environment(account),
            cwd=account.home,
            files=(null, null, null),
            procs_file=agent.cgroups.procs_file(),
        )
    finally:
        os.close(null)
    agent.background(child.reap_later(), f"reap {child.pid}")
    return {"pid": child.pid}


def find_app(account: Account, wanted: str, uri: str | None) -> list[str]:
    """The command of an app: its .desktop file's, else a program of that name.

    OpError "not-found" only where neither is there.
    """
    file = wanted if wanted.endswith(".desktop") else f"{wanted}.desktop"
    folders = (f"{account.home}/.local/share/applications", "/usr/local/share/applications")
    for folder in (*folders, "/usr/share/applications"):
        path = file if file.startswith("/") else f"{folder}/{file}"
        try:
            with open(path, encoding="utf-8", errors="replace") as entry:
                return desktop_command(entry.read(1 << 20), path, uri)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise OpError("permission", f"cannot read {path}: {error.strerror}") from error
    if wanted.endswith(".desktop"):
        raise OpError("not-found", f"no desktop file {wanted!r:.200}", hint="look into /usr/share/applications")
    return [wanted, *([uri] if uri else [])]


def desktop_command(text: str, path: str, uri: str | None) -> list[str]:
    """The argument vector of a .desktop file (Desktop Entry Specification 1.5, key Exec)."""
    fields: dict[str, str] = {}
    section = ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip()
        elif section == "[Desktop Entry]" and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            fields.setdefault(key.strip(), value.strip())
    try:
        parts = shlex.split(fields.get("Exec", "").replace("\\\\", "\\"))
    except ValueError as error:
        raise OpError("failed", f"{path} has an Exec line that cannot be read: {error}") from error
    if not parts:
        raise OpError("failed", f"{path} has no Exec line")
    command: list[str] = []
    for part in parts:
        if part in ("%u", "%U", "%f", "%F"):
            command += [uri] if uri else []
        elif part == "%c":
            command.append(fields.get("Name", ""))
        elif part == "%k":
            command.append(path)
        elif part not in ("%i", "%d", "%D", "%n", "%N", "%v", "%m"):
            command.append(part.replace("%%", "%"))
    return command
