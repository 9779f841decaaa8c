"""The ``filetap`` command: finds the subcommand and prints errors as one line.

Separate, because start-up time counts: a subcommand's module is imported when it is called, never for the help of another one.
"""

from __future__ import annotations

import importlib
import sys
from typing import Final

import click

from filetap.cli.messages import log_message
from filetap.core import descriptors
from filetap.core.descriptors import DescriptorLimitError
from filetap.core.errors import FiletapError

GROUPS: Final = {
    "Look now": ("trace", "watch", "top"),
    "Record and analyze": ("record", "summary", "query", "replay"),
    "This machine": ("doctor",),
}
COMMANDS: Final = {
    "trace": "Trace file accesses of a command, processes, cgroups or everything.",
    "watch": "Report who touches these files or directories, under any name.",
    "top": "Show live who touches which files: rates, bytes, latencies, errors.",
    "record": "Record file accesses in a folder, for summary, query and replay.",
    "summary": "Summarize recordings by file, process, operation, ...",
    "query": "Query recordings with SQL.",
    "replay": "Print a recording as filetap trace would have.",
    "doctor": "Report what this kernel can do, and what to do about the rest.",
}
WIDTH: Final = max(map(len, COMMANDS))
NO_THREAD: Final = "can't start new thread"
"""CPython's text. On 5.10 exec does not switch to a time namespace, fork does, and until then no thread can start."""


class Group(click.Group):
    """Subcommands by name, imported on use."""

    def list_commands(self, context: click.Context) -> list[str]:
        return [name for names in GROUPS.values() for name in names]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"filetap.cli.{name}")
        command: click.Command = getattr(module, name)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:{WIDTH}}", COMMANDS[name]) for name in names])


def print_version(context: click.Context, _option: click.Parameter, given: bool) -> None:
    if not given:
        return
    from filetap.core import version

    click.echo(version.text())
    context.exit()


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=print_version, help="Show version and commit.")
def cli() -> None:
    """Who touched which file, how, and what does a program's I/O really look like?

    \b
    Examples:
      filetap trace -- cat /etc/hostname
      filetap trace -e open --failed -- python3 -c 'import json'
      filetap trace -f json -p $$ --duration 1
      filetap top --batch -n 1 --all
      filetap watch -r --duration 1 /etc
      filetap doctor
    """


def main() -> None:
    """Run the command line. Exit status: 2 for a wrong call, 1 for a failure, else the subcommand's own."""
    descriptors.raise_limit()
    try:
        status = cli.main(prog_name="filetap", standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        status = 130
    except FiletapError as error:
        log_message(str(error))
        status = error.status
    except BrokenPipeError:  # the reader, such as head, has closed the pipe
        status = 1
    except OSError as error:
        log_message(_reason(error))
        status = 1
    except RuntimeError as error:
        if str(error) != NO_THREAD:
            raise
        log_message("cannot start a thread: too many processes (ulimit -u, pids.max), or a time namespace entered without unshare --fork")
        status = 1
    _leave(status)


def _reason(error: OSError) -> str:
    """Return the reason in one line."""
    if error.errno in descriptors.EXHAUSTED:
        return str(DescriptorLimitError(error.errno))
    return f"{error.filename or 'standard output'}: {error.strerror or error}"


def _leave(status: int) -> None:
    """Exit without a traceback if standard output was closed early."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:
        sys.stderr.close()
        status = status or 1
    sys.exit(status)
