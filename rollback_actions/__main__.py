"""`python -m rollback_actions`: the command line, as a checkout without the command `rollproof` has it."""

from __future__ import annotations

from rollproof.system.process import interruptible


def main() -> int:
    """Run the command line, which is imported here: Ctrl-C ends that in a word, too."""
    from rollproof.cli.command_line import main as run  # noqa: PLC0415

    return run()


if __name__ == "__main__":
    raise SystemExit(interruptible(main))
