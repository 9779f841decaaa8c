"""``filetap record``."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, Final

import click

from filetap.capture.signals import Stop
from filetap.cli import options
from filetap.cli.arguments import Arguments, is_recording
from filetap.cli.messages import write_stderr
from filetap.cli.options import TraceCommand
from filetap.cli.recorder import SUFFIX
from filetap.cli.run import View, trace_with
from filetap.core.errors import UsageError
from filetap.render.terminal import one_line, printable

LONGEST_NAME: Final = 40


@click.command(cls=TraceCommand)
@click.argument("paths", nargs=-1, metavar="[PATH...]")
@options.target_options
@options.filter_options
@options.no_recursive_option
@click.option(
    "-o",
    "--output",
    "given_names",
    multiple=True,
    metavar="NAME.tap",
    help="The folder to create.  [default: filetap-DATE-TIME-TARGET.tap]",
)
@options.output_options
@options.record_options
@options.latency_option(True)
@options.process_options
@options.hook_options
@click.pass_context
def record(context: click.Context, /, no_recursive: bool, given_names: Sequence[str], **given: Any) -> None:
    """Record file accesses in a folder, for summary, query and replay.

    TARGET, FILTERS and PATH... are those of filetap trace. Events are written to disk during the run, so that a recording
    can be read after a crash. Contents of files are never recorded.

    \b
    Examples:
      filetap record -- ls -l /etc
      filetap record -o /tmp/build.tap --force -- git --version
      filetap record -o /tmp/all.tap --force --all --duration 1 --keep 1G
    """
    started, stop = time.monotonic(), Stop()
    if len(given_names) > 1:
        raise UsageError("record makes one recording: give -o once, or trace with several -o")
    if given_names and not is_recording(given_names[0]):
        raise UsageError(f"-o {given_names[0]}: the name of a recording must end in {SUFFIX}")
    arguments = Arguments(command=context.obj, recursive=not no_recursive, **given)
    folder = given_names[0] if given_names else free_name(arguments)
    arguments = replace(arguments, outputs=[folder])
    arguments.check()
    context.exit(trace_with(arguments, stop, started, RecordView(folder)))


def free_name(given: Arguments) -> str:
    """Return the name of a folder that does not exist yet, made of the time, local or UTC, and the target."""
    name = f"filetap-{given.zone.at(int(time.time())):%Y%m%d-%H%M%S}-{target_name(given)}"
    return next(path for path in _candidates(name) if not os.path.lexists(path))


def _candidates(name: str) -> Iterator[str]:
    yield f"{name}{SUFFIX}"
    yield from (f"{name}-{number}{SUFFIX}" for number in count(2))


def target_name(given: Arguments) -> str:
    """Return the first target as part of a file name: the command, ``pid7``, a process or cgroup name, or ``all``."""
    names = [*given.command[:1], *(f"pid{pid}" for pid in given.pids), *given.comms, *given.cgroups]
    word = Path(names[0]).name if names else "all"
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", word).strip("._")[:LONGEST_NAME] or "target"


class RecordView(View):
    """Prints the commands to read the recording at the end."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def end(self) -> None:
        if os.path.isdir(self._folder):
            name = shell_word(self._folder)
            write_stderr(f"to analyze it:\n  filetap summary {name}\n  filetap replay {name}")


def shell_word(name: str) -> str:
    """Quote a name for a shell; what cannot be printed is written as bash(1) reads it in $'...'."""
    readable = one_line(name)
    if readable == name:
        return shlex.quote(name)
    escaped = printable(os.fsencode(name)).replace("'", "\\'")
    return f"$'{escaped}'"
