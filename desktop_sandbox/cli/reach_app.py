"""The options of `shell`, `host`, `forward` and `jobs …`; what they do lies in `shell`, `forwarding` and `jobs`."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from desktop_sandbox.cli.options import Json, SandboxId

jobs_app = typer.Typer(
    help="Commands that run in the background of a desktop.", no_args_is_help=True, rich_markup_mode=None
)

JobId = Annotated[str, typer.Argument(metavar="JOB", help="The command's id.")]


def add_reach(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(shell)
    app.command()(code)
    app.command()(host)
    app.command()(forward)
    app.add_typer(jobs_app, name="jobs")


def shell(
    sandbox: SandboxId,
    command: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(help="Default: the user's shell. Write -- before it."),
    ] = None,
    attach: Annotated[Optional[str], typer.Option(metavar="TERMINAL", help="Come back to this one.")] = None,  # noqa: UP045
    list_: Annotated[bool, typer.Option("--list", help="Instead: list terminals.")] = False,
    kill: Annotated[Optional[str], typer.Option(metavar="TERMINAL", help="Instead: end this one.")] = None,  # noqa: UP045
    user: Annotated[str, typer.Option(help="user, or root.")] = "user",
    cwd: Annotated[Optional[str], typer.Option()] = None,  # noqa: UP045
    json: Json = False,
) -> None:
    """Open a terminal in a desktop. Ctrl-] leaves it, and it runs on; it survives a connection that breaks."""
    from desktop_sandbox.cli import shell as work

    if list_:
        work.ls(sandbox, as_json=json)
    elif kill is not None:
        work.kill(sandbox, kill, as_json=json)
    else:
        raise typer.Exit(work.run(sandbox, command or None, attach=attach, user=user, cwd=cwd))


def code(
    sandbox: SandboxId,
    code: Annotated[str, typer.Argument(help="What to run; - reads it from stdin.")],
    language: Annotated[str, typer.Option("--language", "-l", help="python, bash, or a kernel's name.")] = "python",
    context: Annotated[Optional[str], typer.Option(metavar="CONTEXT", help="Instead of the language's own.")] = None,  # noqa: UP045
    timeout: Annotated[float, typer.Option(help="Seconds; 0: none.")] = 60,
    save: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FOLDER", help="Write pictures that it shows there."),
    ] = None,
    json: Json = False,
) -> None:
    """Run code that finds what earlier code defined; ends with 1 where the code raised something."""
    from desktop_sandbox.cli import code as work

    raise typer.Exit(work.run(sandbox, code, language, context=context, timeout=timeout, folder=save, as_json=json))


def forward(
    sandbox: SandboxId,
    port: Annotated[
        str, typer.Argument(metavar="PORT[:PORT]", help="On this computer, and in the desktop if another.")
    ],
    bind: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen on this computer.")] = "127.0.0.1",
) -> None:
    """Forward a TCP port of this computer to one of a desktop, until Ctrl-C."""
    from desktop_sandbox.cli.forwarding import run

    run(sandbox, port, bind)


def host(
    sandbox: SandboxId,
    port: Annotated[int, typer.Argument(min=1, max=65535, help="A port that something in the desktop listens on.")],
    public: Annotated[
        bool, typer.Option("--public", help="For everybody, until this is called again without.")
    ] = False,
    ttl: Annotated[float, typer.Option(metavar="SECONDS", help="How long the address is good.")] = 86_400,
    json: Json = False,
) -> None:
    """Make an address for a port of a desktop, for browsers; prints it."""
    from desktop_sandbox.cli.forwarding import get_host

    get_host(sandbox, port, public=public, ttl=ttl, as_json=json)


@jobs_app.command()
def start(
    sandbox: SandboxId,
    command: Annotated[list[str], typer.Argument(help="One word is a line of bash. Write -- before it.")],
    stdin: Annotated[bool, typer.Option("--stdin", "-i", help="It gets input, from jobs attach -i.")] = False,
    user: Annotated[str, typer.Option()] = "user",
    cwd: Annotated[Optional[str], typer.Option()] = None,  # noqa: UP045
    timeout: Annotated[float, typer.Option(help="Seconds; 0: none.")] = 0,
    json: Json = False,
) -> None:
    """Start a command in the background; prints its id."""
    from desktop_sandbox.cli import jobs

    jobs.start(sandbox, command, stdin=stdin, user=user, cwd=cwd, timeout=timeout, as_json=json)


@jobs_app.command()
def ls(sandbox: SandboxId, json: Json = False) -> None:
    """List those that run, and those that ended in the last minutes."""
    from desktop_sandbox.cli import jobs

    jobs.ls(sandbox, as_json=json)


@jobs_app.command()
def attach(
    sandbox: SandboxId,
    job: JobId,
    stdin: Annotated[bool, typer.Option("--stdin", "-i", help="Pass on stdin, and its end.")] = False,
    after: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=0, metavar="BYTES", help="Begin there; default: all that is kept."),
    ] = None,
) -> None:
    """Print its output until it ends, with its exit code; Ctrl-C leaves it, and it runs on."""
    from desktop_sandbox.cli import jobs

    raise typer.Exit(jobs.attach(sandbox, job, stdin=stdin, after=after))


@jobs_app.command()
def signal(
    sandbox: SandboxId,
    job: JobId,
    number: Annotated[str, typer.Argument(metavar="SIGNAL", help="INT, HUP, USR1 … or a number.")],
    json: Json = False,
) -> None:
    """Send a signal to it and its process group."""
    from desktop_sandbox.cli import jobs

    jobs.send_signal(sandbox, job, number, as_json=json)


@jobs_app.command()
def kill(sandbox: SandboxId, job: JobId, json: Json = False) -> None:
    """End it and all of its session."""
    from desktop_sandbox.cli import jobs

    jobs.kill(sandbox, job, as_json=json)
