"""All commands of `desktop-sandbox` and their options; what they do lies in the modules beside."""

from typing import Annotated, Optional

import typer

from desktop_sandbox.cli import a11y_app, eyes_app
from desktop_sandbox.cli.carrying_app import add_to_templates, trust_app
from desktop_sandbox.cli.files_app import files_app
from desktop_sandbox.cli.network_app import Allow, Deny, Header, Mode, Proxy
from desktop_sandbox.cli.network_app import add_to as add_network_to
from desktop_sandbox.cli.options import Json, Metadata, SandboxId
from desktop_sandbox.cli.reach_app import add_reach
from desktop_sandbox.cli.snapshots_app import add_to as add_snapshots_to
from desktop_sandbox.cli.snapshots_app import snapshot_app

app = typer.Typer(
    name="desktop-sandbox",
    help="Linux desktops in microVMs for agents: create, act, look, throw away.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
template_app = typer.Typer(help="Build, list, carry and remove templates.", no_args_is_help=True, rich_markup_mode=None)
add_to_templates(template_app)
app.add_typer(template_app, name="template")
app.add_typer(snapshot_app, name="snapshot")
app.add_typer(trust_app, name="trust")
eyes_app.add_to(app)
app.add_typer(files_app, name="files")
add_reach(app)
add_network_to(app)


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
    base_url: Annotated[Optional[str], typer.Option(metavar="URL", help="What links to viewers begin with.")] = None,  # noqa: UP045
    tls_cert: Annotated[Optional[str], typer.Option(metavar="FILE", help="Serve https with this PEM.")] = None,  # noqa: UP045
    tls_key: Annotated[Optional[str], typer.Option(metavar="FILE", help="Its private key, PEM.")] = None,  # noqa: UP045
) -> None:
    """Start the server."""
    from desktop_sandbox.cli.serve import run

    run(bind, kill_on_exit=kill_on_exit, log_level=log_level, base_url=base_url, tls_cert=tls_cert, tls_key=tls_key)


@app.command()
def mcp(
    http: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="HOST:PORT", help="Serve streamable HTTP at /mcp, with the API key; default: stdio."),
    ] = None,
    sandbox: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="SANDBOX", help="The desktop that is meant where a tool names none."),
    ] = None,
) -> None:
    """Serve MCP: desktops as tools for any agent that speaks it."""
    from desktop_sandbox.mcp.serve import serve_http, serve_stdio

    if http is None:
        serve_stdio(sandbox)
    else:
        serve_http(http, sandbox)


@app.command()
def agent(
    task: Annotated[str, typer.Argument(help="What the model is to do.")],
    template: Annotated[str, typer.Option()] = "desktop",
    sandbox: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="SANDBOX", help="Work on this desktop, and let it run on; default: a new one."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="The model is asked at most so often.")] = 100,
    seconds: Annotated[float, typer.Option(min=1, help="It works at most so long.")] = 1800,
    save: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="FOLDER", help="Where what it did is kept; default: agent-DATE-TIME."),
    ] = None,
) -> None:
    """Let a model work on a desktop; you watch, and take over when you like."""
    from desktop_sandbox.cli.agent import run

    raise typer.Exit(run(task, template, sandbox, steps=steps, seconds=seconds, save=save))


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
    snapshot: Annotated[Optional[str], typer.Option(help="Begin from this snapshot, not from a template.")] = None,  # noqa: UP045
    on_timeout: Annotated[str, typer.Option(metavar="kill|pause", help="What becomes of it then.")] = "kill",
    auto_resume: Annotated[bool, typer.Option(help="Paused, it comes back when somebody acts or looks.")] = False,
    freeze_after: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Seconds without use until it stands still in memory; 0: never; default: the server's."),
    ] = None,
    network: Mode = None,
    allow: Allow = None,
    deny: Deny = None,
    header: Header = None,
    proxy: Proxy = None,
    json: Json = False,
) -> None:
    """Create a desktop, building its template first if need be; prints its id."""
    from desktop_sandbox.cli.network import policy_from
    from desktop_sandbox.cli.sandboxes import create as run

    run(
        template,
        resolution,
        timeout,
        metadata or [],
        snapshot=snapshot,
        on_timeout=on_timeout,
        auto_resume=auto_resume,
        freeze_after=freeze_after,
        network=policy_from(network, allow or [], deny or [], header or [], proxy),
        as_json=json,
    )


add_snapshots_to(app)


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
    changes: Annotated[bool, typer.Option("--changes", help="Say what changed on the screen.")] = False,
    json: Json = False,
) -> None:
    """Do actions in order, halting at the first that fails."""
    from desktop_sandbox.cli.desktop import act as run

    run(sandbox, actions, picture, changes=changes, as_json=json)


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


a11y_app.add_to(app)


@app.command()
def view(
    sandbox: SandboxId,
    view_only: Annotated[bool, typer.Option("--view-only", help="Watch only, never drive.")] = False,
    ttl: Annotated[float, typer.Option(metavar="SECONDS", help="How long the link is good.")] = 3600,
    name: Annotated[str, typer.Option(help="What others are shown of who opens it.")] = "",
    open_: Annotated[bool, typer.Option("--open", help="Open it in this computer's browser.")] = False,
    revoke: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="TOKEN_ID", help="Instead: let that link be good for nothing."),
    ] = None,
    json: Json = False,
) -> None:
    """Make a link to watch a desktop live in the browser, and to drive it."""
    from desktop_sandbox.cli import people

    if revoke is not None:
        people.revoke(sandbox, revoke, as_json=json)
    else:
        people.view(sandbox, view_only=view_only, ttl=ttl, name=name, open_=open_, as_json=json)


@app.command()
def control(
    sandbox: SandboxId,
    want: Annotated[Optional[str], typer.Argument(help="take (back), give (to who asks) or release.")] = None,  # noqa: UP045
    json: Json = False,
) -> None:
    """Show who drives a desktop, the agent or a person, or change it."""
    from desktop_sandbox.cli.people import control as run

    run(sandbox, want, as_json=json)


@app.command()
def record(
    sandbox: SandboxId,
    output: Annotated[Optional[str], typer.Argument(metavar="FILE", help="Default: SANDBOX.mp4.")] = None,  # noqa: UP045
    seconds: Annotated[Optional[float], typer.Option(help="How long; default: until Ctrl-C.", min=0)] = None,  # noqa: UP045
    start: Annotated[bool, typer.Option("--start", help="Only start.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Stop what was started, and save it.")] = False,
    cursor: Annotated[bool, typer.Option(help="Draw the pointer.")] = True,
    json: Json = False,
) -> None:
    """Record a desktop to an MP4."""
    from desktop_sandbox.cli.people import record as run

    run(sandbox, output, seconds=seconds, start=start, stop=stop, cursor=cursor, as_json=json)


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
