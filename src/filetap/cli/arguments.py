"""The arguments of a run: checks them, and converts them to targets and filters."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from filetap.cli import ready
from filetap.cli.options import QUEUE_SIZE
from filetap.cli.recorder import SUFFIX, RecordingArguments
from filetap.core import units
from filetap.core.errors import UsageError
from filetap.core.zone import Zone

if TYPE_CHECKING:
    from filetap.capture.launch import Command
    from filetap.capture.options import Options
    from filetap.capture.outlet import WhenFull
    from filetap.selection.filters import Filters
    from filetap.selection.targets import Sandbox, Targets

WATCHED_TYPES: Final = ("directory", "pipe", "char", "block", "symlink")
"""What ``watch`` reports in addition to regular files: everything that has a name in a directory and can be opened by it."""
STANDARD: Final = "-"
"""The FILE of -o that is standard output."""
SPILLED: Final = f"-spilled{SUFFIX}"
"""Added to the name of an output: the recording of what was spilled."""
LEAST_QUEUE: Final = 64 << 10
"""Bytes."""
JSON_SUFFIXES: Final = (".json", ".jsonl", ".ndjson")
NOT_RECORDED: Final = ("outputs", "queue_size", "when_full", "force", "stats", "ready_fd", "utc")
"""Options that do not affect what a recording contains."""


def is_recording(name: str) -> bool:
    return name.rstrip("/").endswith(SUFFIX)


def is_old_recording(folder: Path) -> bool:
    """Return whether there is a recording in this folder (recording/format.py)."""
    return folder.suffix == SUFFIX and (folder / "trace.json").is_file()


def spill_of(name: str) -> str:
    """Return the name of the recording for events that an output is too slow for; of /dev/stdout in the current directory."""
    folder = name.replace(" ", "-") + SPILLED
    return Path(folder).name if folder.startswith("/dev/") else folder


def form_of(name: str) -> str:
    """Return the format that the name of a file stands for."""
    return "json" if Path(name).suffix in JSON_SUFFIXES else "table"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments(RecordingArguments):
    """The arguments of ``filetap trace``, ``watch``, ``record`` and ``top``, as text where they have units."""

    command: list[str]
    paths: Sequence[str] = ()
    pids: Sequence[int] = ()
    comms: Sequence[str] = ()
    cgroups: Sequence[str] = ()
    everything: bool = False
    no_children: bool = False
    user: str | None = None
    sandbox: bool = False
    no_wait: bool = False
    events: Sequence[str] = ()
    exclude: Sequence[str] = ()
    recursive: bool = True
    follow: bool = False
    types: Sequence[str] = ()
    failed: bool = False
    min_latency: str | None = None
    latency: bool = True
    host_paths: bool = False
    watch: bool = False
    """PATHs mean the names themselves, and each file under all of its names."""
    missing_ok: bool = False
    summary: bool = False
    by: str | None = None
    limit: int | None = None
    form: str | None = None
    outputs: Sequence[str] = ()
    """Files, recordings, and "-" for standard output."""
    queue_size: str = QUEUE_SIZE
    when_full: WhenFull = "block"
    force: bool = False
    pending: bool = False
    stats: str | None = None
    duration: str | None = None
    level: str = "auto"
    best_effort: bool = False
    ring_size: str = "128M"
    arguments: bool = False
    ancestors: bool = False
    ready_fd: int | None = None
    utc: bool = False

    @property
    def zone(self) -> Zone:
        """The zone of printed times."""
        return Zone(self.utc)

    @property
    def recordings(self) -> list[str]:
        """The folders of recordings to write."""
        return [name.rstrip("/") for name in self.outputs if is_recording(name)]

    @property
    def aggregate(self) -> bool:
        """Return whether events are only summed up, in the kernel."""
        return self.summary and not self.form and not self.outputs

    @property
    def streams(self) -> list[tuple[str, str]]:
        """The names and formats of the files that get events as they arrive; "": the standard stream of the command."""
        files = [name for name in self.outputs if not is_recording(name)]
        if files or (self.outputs and self.form not in ("table", "json")):
            return [(name, self.form or form_of(name)) for name in files]
        return [("", "none" if self.aggregate else self.form or "table")]

    @property
    def prints(self) -> bool:
        """Return whether events are printed, as lines."""
        return any(form != "none" for _, form in self.streams)

    @property
    def seconds(self) -> float:
        """The value of ``--duration``."""
        return units.parse_seconds(self.duration, "--duration") if self.duration is not None else float("inf")

    @property
    def queue_bytes(self) -> int:
        """The value of ``--queue-size``. Raise UsageError if it is too small, or more than the machine's memory."""
        size = units.parse_size(self.queue_size, "--queue-size")
        if not LEAST_QUEUE <= size <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"):
            raise UsageError(f"--queue-size {self.queue_size}: at least 64K, and at most the machine's memory")
        return size

    def options(self) -> dict[str, Any]:
        """Return the part of the command line that a recording keeps."""
        return {name: value for name, value in asdict(self).items() if name not in NOT_RECORDED}

    def scope(self) -> str:
        """Return what is traced, in a few words."""
        command = f"command {self.command[0]}" if self.command else ""
        pids = units.counted(len(self.pids), "process", "processes") if self.pids else ""
        named = f"processes named {' or '.join(self.comms)}" if self.comms else ""
        cgroups = units.counted(len(self.cgroups), "cgroup") if self.cgroups else ""
        both = [f"{named} in {cgroups}"] if named and cgroups else [named, cgroups]
        return ready.scope(self.paths, *(["all processes"] if self.everything else [command, pids, *both]))

    def check(self) -> None:
        """Raise UsageError for mistakes that can be seen without the kernel."""
        if self.ready_fd is not None:
            ready.check_ready_fd(self.ready_fd)
        self.check_recording(bool(self.recordings))
        self._check_outputs()
        self._check_units()
        self._check_targets()
        self._check_filters()
        self._check_summary()

    def _check_outputs(self) -> None:
        if "" in self.outputs or self.stats == "":
            raise UsageError(f"{'--stats' if self.stats == '' else '-o'}: the name is empty")
        if self.form == "none" and (files := [name for name, _ in self.streams if name]):
            raise UsageError(f"-f none writes no events to -o {files[0]}: leave one of them out")
        if self.when_full != "block" and not self.streams:
            raise UsageError(f"--when-full {self.when_full} does not apply to recordings, which always have all events")
        self._check_places()
        if self.flight_recorder and len(self.recordings) > 1:
            raise UsageError("--flight-recorder takes one recording")

    def _check_places(self) -> None:
        """Raise UsageError if an output is given twice, or lies in a recording. That a file has two names is seen once it is open."""
        given = [(f"-o {name}", name) for name in self.outputs] + [(f"--stats {self.stats}", self.stats or "")] * bool(self.stats)
        spilled = [name for name, _ in self.streams if name not in ("", STANDARD)] if self.when_full == "spill" else []
        given += [(f"the spill of -o {name}", spill_of(name)) for name in spilled]
        places = [(words, name if name == STANDARD else os.path.realpath(name)) for words, name in given]
        for words, place in places:
            if recording := next((folder for folder in Path(place).parents if is_old_recording(folder)), None):
                raise UsageError(f"{words} is inside the recording {recording}")
        for (one, place), (other, folder) in permutations(places, 2):
            if place == folder:
                raise UsageError(f"{one} and {other} are the same file")
            if place.startswith(f"{folder}/"):
                raise UsageError(f"{one} is inside {other}")

    def _check_units(self) -> None:
        for option, text in (("--duration", self.duration), ("--min-latency", self.min_latency)):
            if text is not None:
                units.parse_time(text, option)
        units.parse_size(self.ring_size, "--ring-size")
        self.queue_bytes  # noqa: B018

    def _check_targets(self) -> None:
        if not (self.command or self.pids or self.comms or self.cgroups or self.everything):
            raise UsageError(f"nothing to trace: give -- COMMAND, -p PID, -c NAME, --cgroup ID|PATH or --all{_suggestion(self.paths)}")
        for option, given in (("--user", self.user), ("--sandbox", self.sandbox), ("--no-wait", self.no_wait)):
            if given and not self.command:
                raise UsageError(f"{option} requires a command: give -- COMMAND")

    def _check_filters(self) -> None:
        if self.follow and not self.paths:
            raise UsageError("--follow requires at least one PATH")
        if "permission" in self.events and not self.paths:
            raise UsageError("-e permission requires at least one PATH")
        if self.min_latency and not self.latency:
            raise UsageError("--min-latency cannot be used with --no-latency")
        if self.pending and self.failed:
            raise UsageError("--pending cannot be used with --failed: a pending call has no result yet")

    def _check_summary(self) -> None:
        for option, value in (("--by", self.by), ("--limit", self.limit)):
            if value is not None and not self.summary:
                raise UsageError(f"{option} requires --summary")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit {self.limit}: give a number of lines above 0")


def _suggestion(paths: Sequence[str]) -> str:
    """Return what was probably meant by words that are no target."""
    if not paths:
        return ""
    words = shlex.join(paths)
    if os.path.lexists(paths[0]):
        return f". For all processes: filetap trace --all {words} or filetap watch {words}"
    return f". To run a command: filetap trace -- {words}" if shutil.which(paths[0]) else ""


def options_of(given: Arguments, command: Command | None, sandbox: Sandbox | None) -> Options:
    """Convert the arguments to Options. Raise UsageError for names that mean nothing."""
    from filetap.capture import options, pending

    wanted = filters_of(given)
    if given.pending:
        pending.check(wanted.calls)
    return options.Options(
        targets_of(given, command, sandbox),
        wanted,
        latency=given.latency,
        arguments=given.arguments,
        ancestors=given.ancestors,
        ring_size=units.parse_size(given.ring_size, "--ring-size"),
        host_paths=given.host_paths,
        level=given.level,
        best_effort=given.best_effort,
        aggregate=given.aggregate,
    )


def targets_of(given: Arguments, command: Command | None, sandbox: Sandbox | None) -> Targets:
    """Return the targets. Raise UsageError for processes and cgroups that do not exist."""
    from filetap.selection import targets

    chosen = targets.Targets(
        command=command.pid if command else 0,
        comms=[targets.find_comm(name) for name in given.comms],
        cgroups=[targets.find_cgroup(name) for name in given.cgroups] + ([sandbox.cgroup()] if sandbox else []),
        all=given.everything,
        follow=not given.no_children,
    )
    for pid in given.pids:
        chosen.name_process(pid)
    return chosen


def filters_of(given: Arguments) -> Filters:
    """Return the filters. Raise UsageError for operations and types that do not exist."""
    from filetap.core import calls
    from filetap.selection import filters

    types = (*WATCHED_TYPES, *given.types) if given.watch else given.types
    return filters.Filters(
        calls=filters.select_calls(given.events, given.level, calls.WATCH_OPS if given.watch else calls.DEFAULT_OPS),
        paths=list(given.paths),
        exclude=list(given.exclude),
        recursive=given.recursive,
        follow=given.follow,
        types=filters.select_types(types),
        failed=given.failed,
        min_latency=units.parse_time(given.min_latency, "--min-latency") if given.min_latency else 0,
        places=given.watch,
        wait=given.missing_ok,
    )
