"""``filetap watch``: whoever touches these files, from the words of the command line to a run.

Apart, as each command has a file of its own. The targets are always all processes; what is chosen are the files.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from filetap.cli.ready import scope
from filetap.cli.run import Output, Run, Stop, event_option, hook_options, output_options, process_options

if TYPE_CHECKING:
    from filetap.capture.source import Options

TYPES: Final = ("directory", "pipe", "char", "block", "symlink")
"""Beside regular files, whatever else has a name in a directory and can be opened by it."""


@click.command
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("-r", "--recursive", is_flag=True, help="Everything below a directory, not its direct children alone.")
@click.option("--follow", is_flag=True, help="What is moved away stays watched.")
@click.option("--wait", is_flag=True, help="A PATH need not exist yet: it is watched once it does.")
@event_option
@output_options
@process_options
@click.option("--latency/--no-latency", default=False, show_default=True, help="Measure how long each call took.")
@hook_options
@click.pass_context
def watch(context: click.Context, /, **given: Any) -> None:
    """Log whoever touches these files or directories, under any name.

    A PATH means what bears that name, and that file under each of its names: hard links, symbolic links, bind mounts and
    other mount namespaces. A directory means itself and its direct children, with -r everything below; symbolic links
    are not followed down. New files count as they appear. Every process counts but filetap itself; what is not watched
    is dropped in the kernel. At the end, on standard error: what was seen, and whether anything was lost.

    "Under any name" holds for every operation where hooks attach in the kernel (filetap doctor says so). Elsewhere it holds for
    what is done to an open file. Changes by a name (unlink, rename, chmod, ...) that leads here through a symbolic link or
    a bind mount are then looked up right after the call, and marked as resolved later; notes count those that could not
    be looked up. stat, access and the like by such a name are not seen.

    \b
    Examples:
      filetap watch --duration 1 /etc/passwd /etc/shadow    who reads or changes them
      filetap watch -r --duration 1 /etc                    everything below
      filetap watch -e namespace -e write --duration 1 /etc
      filetap watch --wait --duration 1 /run/service.pid  a file that will be
      filetap watch --follow -f json --duration 1 /var/log
    """
    started, stop = time.monotonic(), Stop()
    words = Words(**given)
    words.check()
    context.exit(Run(words, options_of(words), stop, started).to_the_end())


@dataclass(frozen=True, slots=True, kw_only=True)
class Words(Output):
    """The command line as it was given."""

    paths: Sequence[str]
    recursive: bool
    follow: bool
    wait: bool
    events: Sequence[str]
    latency: bool

    def scope(self) -> str:
        return scope(self.paths, "all processes")


def options_of(words: Words) -> Options:
    """What the words mean. Raises UsageError for names that mean nothing."""
    from filetap.capture import pending, source
    from filetap.core import calls
    from filetap.selection import filters, targets

    wanted = filters.Filters(
        calls=filters.select_calls(words.events, words.level, calls.WATCH_OPS),
        paths=list(words.paths),
        recursive=words.recursive,
        types=filters.select_types(TYPES),
        follow=words.follow,
        places=True,
        wait=words.wait,
    )
    if words.pending:
        pending.check(wanted.calls)
    size = filters.parse_size(words.ring_size, "--ring-size")
    whose = targets.Targets(all=True)
    return source.Options(
        whose,
        wanted,
        latency=words.latency,
        arguments=words.arguments,
        ancestors=words.ancestors,
        ring_size=size,
        level=words.level,
        best_effort=words.best_effort,
    )
