"""All commands of `desktop-sandbox` and their options; what they do lies in the modules beside."""

from typing import Annotated, Optional

import typer

app = typer.Typer(
    name="desktop-sandbox",
    help="Linux desktops in microVMs for agents: create, act, look, throw away.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
template_app = typer.Typer(help="Build, list and remove templates.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(template_app, name="template")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SandboxId = Annotated[str, typer.Argument(metavar="SANDBOX", help="The sandbox's id.")]
Metadata = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--metadata", "-m", metavar="NAME=VALUE", help="Repeatable."),
]


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Take the options of the program itself."""
    if version:
        from desktop_sandbox.version import VERSION

        typer.echo(VERSION)
        raise typer.Exit


@app.command()
def serve(
    bind: Annotated[Optional[str], typer.Option(metavar="HOST:PORT", help="Default: 127.0.0.1:8700.")] = None,  # noqa: UP045
    kill_on_exit: Annotated[bool, typer.Option(help="End all desktops when the server ends.")] = False,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Start the server."""
    from desktop_sandbox.cli.serve import run

    run(bind, kill_on_exit=kill_on_exit, log_level=log_level)


@app.command()
def doctor(json: Json = False) -> None:
    """Say what this host can do, and what is missing."""
    from desktop_sandbox.cli.host import doctor as run

    raise typer.Exit(run(as_json=json))


@app.command()
def create(
    template: Annotated[str, typer.Argument()] = "desktop",
    resolution: Annotated[Optional[str], typer.Option(metavar="WIDTHxHEIGHT")] = None,  # noqa: UP045
    timeout: Annotated[float, typer.Option(help="Seconds until it ends by itself; 0: never.")] = 3600,
    metadata: Metadata = None,
    json: Json = False,
) -> None:
    """Create a desktop, building its template first if need be; prints its id."""
    from desktop_sandbox.cli.sandboxes import create as run

    run(template, resolution, timeout, metadata or [], as_json=json)


@app.command()
def ls(
    all_: Annotated[bool, typer.Option("--all", "-a", help="Also those that are dead.")] = False,
    template: Annotated[Optional[str], typer.Option()] = None,  # noqa: UP045
    metadata: Metadata = None,
    json: Json = False,
) -> None:
    """List sandboxes, newest first."""
    from desktop_sandbox.cli.sandboxes import ls as run

    run(all_, template, metadata or [], as_json=json)


@app.command()
def info(sandbox: SandboxId, json: Json = False) -> None:
    """Show one sandbox."""
    from desktop_sandbox.cli.sandboxes import info as run

    run(sandbox, as_json=json)


@app.command()
def screenshot(
    sandbox: SandboxId,
    output: Annotated[str, typer.Option("--output", "-o", help='A file, or "-" for stdout.')] = "",
    format_: Annotated[Optional[str], typer.Option("--format", help="png, jpeg, webp or raw.")] = None,  # noqa: UP045
    quality: Annotated[int, typer.Option(min=1, max=100)] = 80,
    scale: Annotated[float, typer.Option(help="Above 0, up to 1.")] = 1.0,
    region: Annotated[Optional[str], typer.Option(metavar="X,Y,WIDTH,HEIGHT")] = None,  # noqa: UP045
    cursor: Annotated[bool, typer.Option(help="Draw the pointer.")] = True,
    stable: Annotated[Optional[int], typer.Option(metavar="MS", help="Wait until nothing changed.")] = None,  # noqa: UP045
    json: Json = False,
) -> None:
    """Save a screenshot."""
    from desktop_sandbox.cli.desktop import screenshot as run

    run(
        sandbox,
        output,
        format_,
        quality=quality,
        scale=scale,
        region=region,
        cursor=cursor,
        stable=stable,
        as_json=json,
    )


@app.command()
def act(
    sandbox: SandboxId,
    actions: Annotated[
        str, typer.Argument(help='JSON: \'[{"type": "click", "x": 4, "y": 5}]\', or "-" to read it from stdin.')
    ],
    picture: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--screenshot", metavar="FILE", help="Save the settled screen at the end."),
    ] = None,
    json: Json = False,
) -> None:
    """Do actions in order, halting at the first that fails."""
    from desktop_sandbox.cli.desktop import act as run

    run(sandbox, actions, picture, as_json=json)


@app.command(name="exec")
def exec_(
    sandbox: SandboxId,
    command: Annotated[list[str], typer.Argument(help="One word is a line of bash. Write -- before it.")],
    user: Annotated[str, typer.Option()] = "user",
    cwd: Annotated[Optional[str], typer.Option()] = None,  # noqa: UP045
    timeout: Annotated[float, typer.Option(help="Seconds; 0: none.")] = 0,
    stdin: Annotated[bool, typer.Option("--stdin", "-i", help="Pass on stdin (read to its end first).")] = False,
    json: Json = False,
) -> None:
    """Run a command in a desktop; ends with its exit code."""
    from desktop_sandbox.cli.desktop import exec_ as run

    raise typer.Exit(run(sandbox, command, user=user, cwd=cwd, timeout=timeout, pass_stdin=stdin, as_json=json))


@app.command(name="open")
def open_(
    sandbox: SandboxId,
    target: Annotated[str, typer.Argument(help="A file or an address.")],
    json: Json = False,
) -> None:
    """Open a file or an address with the desktop's default app."""
    from desktop_sandbox.cli.desktop import open_ as run

    run(sandbox, target, as_json=json)


@app.command()
def kill(
    sandboxes: Annotated[Optional[list[str]], typer.Argument(metavar="SANDBOX...")] = None,  # noqa: UP045
    all_: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    json: Json = False,
) -> None:
    """End sandboxes for good."""
    from desktop_sandbox.cli.sandboxes import kill as run

    if bool(sandboxes) == all_:
        raise typer.BadParameter("name sandboxes, or give --all")
    run(sandboxes or [], all_, as_json=json)


@app.command()
def why(sandbox: SandboxId, json: Json = False) -> None:
    """Explain a sandbox's state: its events and the tails of its logs."""
    from desktop_sandbox.cli.sandboxes import why as run

    run(sandbox, as_json=json)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def bench(context: typer.Context) -> None:
    """Measure this host's desktops."""
    from importlib import import_module

    raise typer.Exit(import_module("desktop_sandbox.bench").main(context.args) or 0)


@template_app.command("build")
def template_build(
    name: Annotated[str, typer.Argument()] = "desktop",
    rebuild: Annotated[bool, typer.Option(help="Also if it is ready.")] = False,
    json: Json = False,
) -> None:
    """Build a template's image, boot it once, and snapshot it."""
    from desktop_sandbox.cli.host import template_build as run

    run(name, rebuild=rebuild, as_json=json)


@template_app.command("ls")
def template_ls(json: Json = False) -> None:
    """List templates."""
    from desktop_sandbox.cli.host import template_ls as run

    run(as_json=json)


@template_app.command("rm")
def template_rm(name: Annotated[str, typer.Argument()], json: Json = False) -> None:
    """Remove a template from the disk."""
    from desktop_sandbox.cli.host import template_rm as run

    run(name, as_json=json)
