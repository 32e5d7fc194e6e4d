"""The command ``offramp``: registering the commands and turning errors into one line."""

from __future__ import annotations

import logging
import sys
import traceback
import warnings

import typer

from offramp import __version__
from offramp.cli import (
    build,
    calibrate,
    certify,
    certs,
    demo,
    explore,
    export,
    import_,
    plan,
    profile,
    quantise,
    record,
    relay,
    replay,
    report,
    run,
    serve,
)
from offramp.errors import OfframpError

__all__ = ["app", "main"]

app = typer.Typer(
    name="offramp",
    help="Collaborative DNN inference across device, edge and cloud.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.command("demo")(demo.demo)
app.command("build")(build.build)
app.command("import")(import_.import_)
app.command("record")(record.record)
app.command("calibrate")(calibrate.calibrate)
app.command("certify")(certify.certify)
app.command("quantise")(quantise.quantise)
app.command("profile")(profile.profile)
app.command("plan")(plan.plan)
app.command("serve")(serve.serve)
app.command("certs")(certs.certs)
app.command("explore")(explore.explore)
app.command("export")(export.export)
app.command("relay")(relay.relay)
app.command("run")(run.run)
app.command("replay")(replay.replay)
app.command("report")(report.report)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
    verbose: bool = typer.Option(False, "--verbose", help="Show the traceback of an error and debug logs."),
) -> None:
    """Build, plan and run cascades. Errors are one line; exit codes tell their kind (see docs/errors.md)."""


def main() -> None:
    """Run the command line; never shows a traceback unless ``--verbose`` is given, anywhere."""
    verbose = "--verbose" in sys.argv
    arguments = [a for a in sys.argv[1:] if a != "--verbose"]
    warnings.showwarning = _warn
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.WARNING, format="offramp: %(levelname)s: %(message)s"
    )
    try:
        app(args=arguments, prog_name="offramp", standalone_mode=True)
    except OfframpError as error:
        _fail(str(error), error.exit_code, verbose)
    except KeyboardInterrupt:
        _fail("interrupted", 130, verbose)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}", 1, verbose)


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    """Show a warning as one line, without a place in the source."""
    typer.echo(f"offramp: warning: {message}", err=True)


def _fail(message: str, exit_code: int, verbose: bool) -> None:
    if verbose:
        traceback.print_exc()
    typer.echo(f"offramp: error: {message}", err=True)
    raise SystemExit(exit_code)


if __name__ == "__main__":
    main()
