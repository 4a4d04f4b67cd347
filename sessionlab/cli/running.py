"""How a command runs: its errors as lines, Ctrl-C at once, and a reader that goes early."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sessionlab.errors import SessionLabError, SessionLabWarning

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")


class Commands(click.Group):
    """A group whose errors are lines and no tracebacks."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what goes wrong is said in a line or two, with exit code 1."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("always", SessionLabWarning)
                warnings.showwarning = _show_warning
                result = super().invoke(ctx)
                sys.stdout.flush()
                return result
        except SessionLabError as error:
            raise click.ClickException(str(error)) from error
        except BrokenPipeError:
            _let_go_of_stdout()
            ctx.exit(0)
        except OSError as error:
            if type(error) is not OSError and error.filename is None:
                raise
            if error.filename is None:
                _let_go_of_stdout()  # what is still buffered would fail once more at the end
            about = "" if error.filename is None else f"{error.filename!r}: "
            raise click.ClickException(f"{about}{error.strerror or error}.") from error


_is_abandoned = False


def interruptible(query: Callable[[], _Result]) -> _Result:
    """Run a query in a thread of its own, so that Ctrl-C ends the program at once.

    DuckDB also works in the thread that calls it and notices Ctrl-C only between its steps: in a cross join after
    hours. Closing it waits for all its threads, so after Ctrl-C the program ends without that.
    """
    global _is_abandoned
    results: list[_Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(query())
        except BaseException as error:  # it is raised where somebody waits
            errors.append(error)
        finally:
            is_done.set()

    is_done = threading.Event()
    threading.Thread(target=run, daemon=True).start()
    try:
        is_done.wait()
    except KeyboardInterrupt:
        _is_abandoned = True
        raise
    if errors:
        raise errors[0]
    return results[0]


@atexit.register  # before anything of the Lab is, so it comes after that: temporary files are gone by then
def _leave_at_once() -> None:
    if _is_abandoned:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    click.echo(f"Warning: {message}", err=True)


def _let_go_of_stdout() -> None:
    """Send what is left of the output nowhere, since its reader has gone or its disk is full."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
