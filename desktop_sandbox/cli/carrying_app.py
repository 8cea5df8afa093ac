"""Options of the commands that carry snapshots and templates between hosts; what they do is in `carrying`."""

from typing import Annotated, Optional

import typer

from desktop_sandbox.cli.options import Json

trust_app = typer.Typer(
    help="Whose snapshots and templates may be imported.", no_args_is_help=True, rich_markup_mode=None
)


def add_to(snapshot_app: typer.Typer) -> None:
    """Add export and import to the commands about snapshots."""
    snapshot_app.command(name="export")(_export)
    snapshot_app.command(name="import")(_import)


def _export(
    snapshot: Annotated[str, typer.Argument(metavar="SNAPSHOT")],
    file: Annotated[str, typer.Argument(metavar="FILE")],
    json: Json = False,
) -> None:
    """Write a snapshot to one signed file."""
    from desktop_sandbox.cli.carrying import export as run

    run(snapshot, file, as_json=json)


def _import(
    file: Annotated[str, typer.Argument(metavar="FILE")],
    name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="What it is called here; one that is here already then comes under another id."),
    ] = None,
    json: Json = False,
) -> None:
    """Take a snapshot from such a file; prints its id."""
    from desktop_sandbox.cli.carrying import import_ as run

    run(file, name, as_json=json)


def add_to_templates(template_app: typer.Typer) -> None:
    """Add export and import to the commands about templates."""
    template_app.command(name="export")(_export_template)
    template_app.command(name="import")(_import_template)


def _export_template(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Of a template, or its folder's, as a snapshot names it.")
    ],
    output: Annotated[Optional[str], typer.Option("--output", "-o", metavar="FILE", help="Else NAME.template.")] = None,  # noqa: UP045
    json: Json = False,
) -> None:
    """Write a template, with the image below it, to one signed file."""
    from desktop_sandbox.cli.carrying import export_template as run

    run(name, output, as_json=json)


def _import_template(file: Annotated[str, typer.Argument(metavar="FILE")], json: Json = False) -> None:
    """Take a template from such a file; prints its name."""
    from desktop_sandbox.cli.carrying import import_template as run

    run(file, as_json=json)


@trust_app.command("add")
def trust_add(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    key: Annotated[str, typer.Argument(metavar="KEY|FILE", help="ed25519:…, or a file that holds it.")],
) -> None:
    """Trust a host's key."""
    from desktop_sandbox.cli.carrying import trust_add as run

    run(name, key)


@trust_app.command("ls")
def trust_ls(json: Json = False) -> None:
    """List the keys that are trusted, and this host's own."""
    from desktop_sandbox.cli.carrying import trust_ls as run

    run(as_json=json)


@trust_app.command("rm")
def trust_rm(name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """Trust a key no longer."""
    from desktop_sandbox.cli.carrying import trust_rm as run

    run(name)
