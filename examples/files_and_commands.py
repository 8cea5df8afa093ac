"""Files in and out, and commands with their output as it comes.

python examples/files_and_commands.py [TEMPLATE]
"""

from __future__ import annotations

import sys

from desktop_sandbox import CommandFailedError, Sandbox

PROGRAM = """\
import sys
for number in range(1, 4):
    print(number, "squared is", number**2, flush=True)
print("done", file=sys.stderr)
"""


def main(template: str = "minimal") -> None:
    """Upload a program, run it, fetch what it wrote."""
    with Sandbox.create(template, timeout=300) as desktop:
        desktop.files.write("/home/user/numbers/squares.py", PROGRAM)
        desktop.commands.run(
            ["python3", "squares.py"],
            cwd="/home/user/numbers",
            on_stdout=lambda text: print(text, end=""),
            on_stderr=lambda text: print("stderr:", text, end=""),
        )
        # a string is a line of bash; commands run as the desktop's user, or as root
        desktop.commands.run("python3 squares.py > squares.txt", cwd="/home/user/numbers")
        print("fetched:", desktop.files.read("/home/user/numbers/squares.txt").splitlines())
        print("kernel:", desktop.commands.run("uname -r", user="root").stdout.strip())

        for entry in desktop.files.list("/home/user/numbers"):
            print(f"{entry.size_bytes:6} {entry.name}")

        # another exit code than 0 is an error, unless check=False
        try:
            desktop.commands.run("ls /nowhere")
        except CommandFailedError as error:
            print("failed:", error.message)


if __name__ == "__main__":
    main(*sys.argv[1:])
