"""``filetap watch``."""

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
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@options.recursive_option
@click.option("--missing-ok", is_flag=True, help="Accept a PATH that does not exist yet, and watch it when it appears.")
@options.target_options
@options.filter_options
@options.output_option("Write the events to FILE, or record them in the folder NAME.tap.")
@options.output_options
@options.queue_options
@options.record_options
@options.summary_options
@options.latency_option(False)
@options.process_options
@options.hook_options
@click.pass_context
def watch(context: click.Context, /, **given: Any) -> None:
    """Report who touches these files or directories, under any name.

    A PATH means the file under all of its names: hard links, symbolic links, bind mounts and other mount namespaces. If
    another file gets that name, it is watched too. A directory means itself and its direct children, with -r everything
    below; symbolic links below it are not followed. New files are included as they appear. Without a TARGET all processes
    except filetap are traced. Events of other files are dropped in the kernel. At the end, standard error gets the
    statistics: what was seen, and whether anything was lost.

    Where VFS hooks attach (see filetap doctor), all operations are seen under any name. Elsewhere only operations on open
    files are. If a change (unlink, rename, chmod, ...) reaches the file through a symbolic link or a bind mount, filetap
    then looks up the name right after the call and marks the event as resolved later; a note counts the names that could
    not be looked up. stat, access and similar calls through such names are not seen.

    \b
    Examples:
      filetap watch --duration 1 /etc/passwd /etc/shadow    who reads or changes them
      filetap watch -r --duration 1 /etc                    everything below
      filetap watch -e namespace,write --duration 1 /etc
      filetap watch --missing-ok --duration 1 /run/service.pid  a file that does not exist yet
      filetap watch --follow -f json --duration 1 /var/log
    """
    started, stop = time.monotonic(), Stop()
    targeted = context.obj or any(given[name] for name in ("pids", "comms", "cgroups"))
    given["everything"] = given["everything"] or not targeted
    given["latency"] = given["latency"] or bool(given["min_latency"])
    arguments = Arguments(command=context.obj, watch=True, **given)
    arguments.check()
    view = SummaryView(arguments.by, arguments.limit, arguments.zone) if arguments.summary else View()
    context.exit(trace_with(arguments, stop, started, view))
