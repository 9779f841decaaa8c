"""``filetap trace``."""

from __future__ import annotations

import time
from typing import Any

import click

from filetap.capture.signals import Stop
from filetap.cli import options
from filetap.cli.arguments import Arguments
from filetap.cli.options import TraceCommand
from filetap.cli.run import View, trace_with
from filetap.cli.summary_view import SummaryView


@click.command(cls=TraceCommand)
@click.argument("paths", nargs=-1, metavar="[PATH...]")
@options.target_options
@options.filter_options
@options.no_recursive_option
@options.output_option("Write the events to FILE, or record them in the folder NAME.tap, as filetap record does.")
@options.output_options
@options.queue_options
@options.record_options
@options.summary_options
@options.latency_option(True)
@options.process_options
@options.hook_options
@click.pass_context
def trace(context: click.Context, /, no_recursive: bool, **given: Any) -> None:
    """Trace file accesses: who touched which file, how, with which result.

    A TARGET is required: a COMMAND after --, -p, -c, --cgroup, or --all; several are a union. PATH... restricts tracing
    to these files and everything below these directories. The events of a COMMAND go to standard error, because
    standard output belongs to the command; those of any other target go to standard output. At the end, standard error gets the statistics:
    what was seen, and whether anything was lost.

    \b
    Examples:
      filetap trace -- ls -l /etc                         what a command touches
      filetap trace -e open --failed -- python3 -c ''     files it looks for and does not find
      filetap trace -f json -o /tmp/events.json --force -- git --version
      filetap trace --duration 1 -p $$                    a running process
      filetap trace --all --duration 1 /etc               who touches anything below /etc
      filetap trace -e io --min-latency 1ms --all --duration 1
      filetap trace -e process --args -- sh -c 'ls; id'   commands and their arguments
    """
    started, stop = time.monotonic(), Stop()
    arguments = Arguments(command=context.obj, recursive=not no_recursive, **given)
    arguments.check()
    view = SummaryView(arguments.by, arguments.limit, arguments.zone) if arguments.summary else View()
    context.exit(trace_with(arguments, stop, started, view))
