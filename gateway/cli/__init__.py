"""The command line, and the one place that may import everything: it composes whole processes.

Commands import what they run only when they run: importing the whole stack takes a second, `--help`
should not.
"""

from __future__ import annotations


def main() -> None:
    """Run `poort`. Exit codes: 0 done, 1 refused or failed, 2 not called as the command asks."""
    from gateway.cli.commands import app

    app()
