"""Options of the commands that save, copy, take back and put away; what they do is in `snapshots`."""

from typing import Annotated, Optional

import typer

from desktop_sandbox.cli import carrying_app
from desktop_sandbox.cli.options import Json, Metadata, SandboxId

snapshot_app = typer.Typer(help="List, name and remove snapshots.", no_args_is_help=True, rich_markup_mode=None)
carrying_app.add_to(snapshot_app)


def add_to(app: typer.Typer) -> None:
    """Add those that are called without "snapshot" to the program's commands."""
    for command in (_checkpoint, _fork, _rollback, _pause, _resume, _freeze, _thaw):
        app.command(name=command.__name__.removeprefix("_"))(command)


def _checkpoint(
    sandbox: SandboxId,
    name: Annotated[Optional[str], typer.Option("--name", "-n")] = None,  # noqa: UP045
    description: Annotated[str, typer.Option("--description", "-d")] = "",
    tag: Annotated[Optional[list[str]], typer.Option("--tag", "-t", help="Repeatable.")] = None,  # noqa: UP045
    json: Json = False,
) -> None:
    """Save a desktop as it is; prints the snapshot's id."""
    from desktop_sandbox.cli.snapshots import checkpoint as run

    run(sandbox, name, description, tag or [], as_json=json)


def _fork(
    sandbox: SandboxId,
    count: Annotated[int, typer.Argument(min=1, max=256)] = 1,
    timeout: Annotated[float, typer.Option(help="Seconds until each ends by itself; 0: never.")] = 3600,
    metadata: Metadata = None,
    json: Json = False,
) -> None:
    """Make desktops that begin where this one is now; prints their ids."""
    from desktop_sandbox.cli.snapshots import fork as run

    run(sandbox, count, timeout, metadata, as_json=json)


def _rollback(
    sandbox: SandboxId,
    snapshot: Annotated[str, typer.Argument(metavar="SNAPSHOT", help="The snapshot's id.")],
    json: Json = False,
) -> None:
    """Bring a desktop back to a snapshot; what it did since is gone."""
    from desktop_sandbox.cli.snapshots import rollback as run

    run(sandbox, snapshot, as_json=json)


def _pause(sandbox: SandboxId, json: Json = False) -> None:
    """Put a desktop to disk, with no process left."""
    from desktop_sandbox.cli.snapshots import pause as run

    run(sandbox, as_json=json)


def _resume(
    sandbox: SandboxId,
    timeout: Annotated[float, typer.Option(help="Seconds until it ends by itself; 0: as long as it was made for.")] = 0,
    from_disk: Annotated[
        bool, typer.Option("--from-disk", help="Boot it from its disk; what it had in memory is not brought back.")
    ] = False,
    json: Json = False,
) -> None:
    """Bring a paused desktop back."""
    from desktop_sandbox.cli.snapshots import resume as run

    run(sandbox, timeout, from_disk=from_disk, as_json=json)


def _freeze(sandbox: SandboxId, json: Json = False) -> None:
    """Let a desktop stand still in memory, whatever works in it; the next call wakes it."""
    from desktop_sandbox.cli.snapshots import freeze as run

    run(sandbox, as_json=json)


def _thaw(sandbox: SandboxId, json: Json = False) -> None:
    """Wake a desktop that stands still."""
    from desktop_sandbox.cli.snapshots import thaw as run

    run(sandbox, as_json=json)


@snapshot_app.command(name="ls")
def _snapshot_ls(
    sandbox: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(metavar="SANDBOX", help="Only its own, and its ancestors."),
    ] = None,
    json: Json = False,
) -> None:
    """List snapshots as a tree."""
    from desktop_sandbox.cli.snapshots import ls as run

    run(sandbox, as_json=json)


@snapshot_app.command(name="set")
def _snapshot_set(
    snapshot: Annotated[str, typer.Argument(metavar="SNAPSHOT")],
    name: Annotated[Optional[str], typer.Option("--name", "-n")] = None,  # noqa: UP045
    description: Annotated[Optional[str], typer.Option("--description", "-d")] = None,  # noqa: UP045
    tag: Annotated[Optional[list[str]], typer.Option("--tag", "-t", help="Repeatable; all it has then.")] = None,  # noqa: UP045
    json: Json = False,
) -> None:
    """Name, describe or tag a snapshot."""
    from desktop_sandbox.cli.snapshots import change as run

    run(snapshot, name, description, tag, as_json=json)


@snapshot_app.command(name="thumbnail")
def _snapshot_thumbnail(
    snapshot: Annotated[str, typer.Argument(metavar="SNAPSHOT")],
    output: Annotated[str, typer.Option("--output", "-o", help='A file, or "-" for stdout.')] = "",
    width: Annotated[int, typer.Option(min=16, max=8192, help="At most so many pixels wide.")] = 320,
) -> None:
    """Save what a snapshot showed, as a JPEG."""
    from desktop_sandbox.cli.snapshots import thumbnail as run

    run(snapshot, output, width)


@snapshot_app.command(name="promote")
def _snapshot_promote(
    snapshot: Annotated[str, typer.Argument(metavar="SNAPSHOT")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the template is called.")],
    json: Json = False,
) -> None:
    """Make a template of a snapshot: log in once, then create desktops from there."""
    from desktop_sandbox.cli.snapshots import promote as run

    run(snapshot, name, as_json=json)


@snapshot_app.command(name="rm")
def _snapshot_rm(
    snapshots: Annotated[list[str], typer.Argument(metavar="SNAPSHOT...")],
    json: Json = False,
) -> None:
    """Remove snapshots from the server's disk."""
    from desktop_sandbox.cli.snapshots import remove as run

    run(snapshots, as_json=json)
