"""Calling the command line as a user does, in this process."""

from __future__ import annotations

import contextlib
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from offramp.cli import common
from offramp.cli.main import main

__all__ = ["Called", "offramp"]


@dataclass(frozen=True)
class Called:
    """Exit code and what was printed."""

    code: int
    out: str
    err: str


def offramp(*arguments: str | Path) -> Called:
    """Run ``offramp ARGUMENTS``."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["offramp", *map(str, arguments)]),
        mock.patch.object(common.console, "_file", out),
        mock.patch.object(common.status_console, "_file", err),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
            code = 0
        except SystemExit as exit_:
            code = int(exit_.code or 0)
    return Called(code, out.getvalue(), err.getvalue())
