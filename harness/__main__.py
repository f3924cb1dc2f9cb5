"""`bench`, and `python -m harness`: the process around the command line."""

from __future__ import annotations

import sys

from harness.signals import hold_interrupts

# Ctrl-C waits for `cli.main`, which answers it: amid the imports Python would show a traceback.
hold_interrupts()

from harness import streams  # noqa: E402
from harness.command import cli  # noqa: E402


def main() -> int:
    """Run the command that the command line names; returns the exit code."""
    streams.prepare()
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
