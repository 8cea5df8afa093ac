"""The options of `desktop-sandbox files …`; what the commands do lies in `files`."""

from typing import Annotated, Optional

import typer

from desktop_sandbox.cli.options import Json, SandboxId

files_app = typer.Typer(
    help="List, move, copy and watch a desktop's files.", no_args_is_help=True, rich_markup_mode=None
)

GuestPath = Annotated[str, typer.Argument(metavar="PATH", help="In the desktop; relative ones start at its home.")]
User = Annotated[str, typer.Option(help="Whose rights are used.")]


@files_app.command()
def ls(
    sandbox: SandboxId,
    path: Annotated[str, typer.Argument(metavar="PATH")] = "~",
    depth: Annotated[int, typer.Option(min=1, max=64, help="Folders below, too, so many levels.")] = 1,
    user: User = "user",
    json: Json = False,
) -> None:
    """List a folder."""
    from desktop_sandbox.cli import files

    files.ls(sandbox, path, depth=depth, user=user, as_json=json)


@files_app.command()
def stat(sandbox: SandboxId, path: GuestPath, user: User = "user", json: Json = False) -> None:
    """Look at one file or folder."""
    from desktop_sandbox.cli import files

    files.stat(sandbox, path, user=user, as_json=json)


@files_app.command()
def mkdir(sandbox: SandboxId, path: GuestPath, user: User = "user", json: Json = False) -> None:
    """Make a folder and those above it."""
    from desktop_sandbox.cli import files

    files.mkdir(sandbox, path, user=user, as_json=json)


@files_app.command()
def mv(
    sandbox: SandboxId,
    source: Annotated[str, typer.Argument()],
    target: Annotated[str, typer.Argument()],
    user: User = "user",
    json: Json = False,
) -> None:
    """Move a file or folder inside the desktop."""
    from desktop_sandbox.cli import files

    files.mv(sandbox, source, target, user=user, as_json=json)


@files_app.command()
def rm(
    sandbox: SandboxId,
    path: GuestPath,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="A folder with all that is in it.")] = False,
    user: User = "user",
    json: Json = False,
) -> None:
    """Remove a file or folder."""
    from desktop_sandbox.cli import files

    files.rm(sandbox, path, recursive=recursive, user=user, as_json=json)


@files_app.command()
def get(
    sandbox: SandboxId,
    path: GuestPath,
    to: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(metavar="FILE|FOLDER", help="On this computer; default: its name, here; - is stdout."),
    ] = None,
    resume: Annotated[bool, typer.Option("--continue", "-c", help="Go on with a download that broke off.")] = False,
    user: User = "user",
    json: Json = False,
) -> None:
    """Copy a file, or a whole folder, from the desktop."""
    from desktop_sandbox.cli import files

    files.get(sandbox, path, to, resume=resume, user=user, as_json=json)


@files_app.command()
def put(
    sandbox: SandboxId,
    source: Annotated[str, typer.Argument(metavar="FILE|FOLDER", help="On this computer; - is stdin.")],
    path: Annotated[str, typer.Argument(metavar="PATH", help="In the desktop; ends in / : into that folder.")] = "~/",
    user: User = "user",
    json: Json = False,
) -> None:
    """Copy a file, or a whole folder, into the desktop."""
    from desktop_sandbox.cli import files

    files.put(sandbox, source, path, user=user, as_json=json)


@files_app.command()
def watch(
    sandbox: SandboxId,
    path: GuestPath,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Folders below, too.")] = False,
    user: User = "user",
    json: Json = False,
) -> None:
    """Print changes as they happen, until Ctrl-C; with --json one object a line."""
    from desktop_sandbox.cli import files

    files.watch(sandbox, path, recursive=recursive, user=user, as_json=json)


@files_app.command()
def link(
    sandbox: SandboxId,
    path: GuestPath,
    write: Annotated[bool, typer.Option("--write", help="For uploading (PUT) instead of downloading.")] = False,
    archive: Annotated[bool, typer.Option("--archive", help="A folder, as a tar archive.")] = False,
    ttl: Annotated[float, typer.Option(metavar="SECONDS", help="How long it is good, at most 7 days.")] = 3600,
    user: User = "user",
    json: Json = False,
) -> None:
    """Print an address that opens one path without a key."""
    from desktop_sandbox.cli import files

    if write and archive:
        raise typer.BadParameter("--write or --archive, not both")
    files.link(sandbox, path, "write" if write else "archive" if archive else "read", ttl=ttl, user=user, as_json=json)
