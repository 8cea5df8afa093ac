"""`python -m desktop_sandbox.cli`."""

from desktop_sandbox.cli import main

main()
