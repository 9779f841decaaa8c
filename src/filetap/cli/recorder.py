"""A recording (NAME.tap): its arguments, and its use by a run, from its beginning to its seal."""

from __future__ import annotations

import os
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from filetap.cli.messages import log_message
from filetap.cli.options import FLIGHT_MEMORY
from filetap.cli.progress import Progress
from filetap.core import libraries
from filetap.core.clock import utc
from filetap.core.errors import UsageError
from filetap.core.units import is_time, parse_seconds, parse_size
from filetap.recording.retention import Keep, Limits

if TYPE_CHECKING:
    from filetap.capture.session import Session
    from filetap.core.sink import Sink
    from filetap.recording.flight import FlightSink
    from filetap.recording.format import Metadata
    from filetap.recording.writer import TraceSink

SUFFIX: Final = ".tap"
PARTS: Final = 10
"""The minimum number of segments in a recording that deletes old ones, because only whole segments can be deleted."""
LEAST_SIZE: Final = 64 << 10
"""The minimum size of a segment, bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingArguments:
    """The recording options of the command line."""

    rotate_size: str | None = None
    rotate_time: str | None = None
    keep: str | None = None
    flight_recorder: str | None = None
    flight_memory: str | None = None

    def check_recording(self, records: bool) -> None:
        """Raise UsageError for mistakes that can be seen without the kernel."""
        given = [name for name in RecordingArguments.__dataclass_fields__ if getattr(self, name) is not None]
        if given and not records:
            raise UsageError(f"{option(given[0])} requires a recording: give -o NAME{SUFFIX}")
        if self.flight_memory and not self.flight_recorder:
            raise UsageError("--flight-memory requires --flight-recorder")
        for name in ("rotate_size", "rotate_time", "keep"):
            if self.flight_recorder and name in given:
                raise UsageError(f"{option(name)} cannot be used with --flight-recorder, which keeps events in memory")
        self.limits()
        if self.flight_recorder:
            self.flight()

    def limits(self) -> Limits:
        """Return where segments end. A recording that deletes old segments has at least PARTS of them."""
        keep = parse_keep(self.keep) if self.keep else Keep()
        size = parse_bytes(self.rotate_size, "--rotate-size") if self.rotate_size else keep.bytes / PARTS
        if size > keep.bytes:
            raise UsageError(f"--rotate-size {self.rotate_size} is more than --keep {self.keep}: only whole segments are deleted")
        seconds = parse_seconds(self.rotate_time, "--rotate-time") if self.rotate_time else keep.seconds / PARTS
        return Limits(bytes=size, seconds=seconds, keep=keep)

    def flight(self) -> tuple[float, int]:
        """Return the seconds and bytes of the flight recorder."""
        memory = parse_bytes(self.flight_memory or FLIGHT_MEMORY, "--flight-memory")
        return parse_seconds(self.flight_recorder or "", "--flight-recorder"), memory


def option(name: str) -> str:
    return "--" + name.replace("_", "-")


def parse_bytes(text: str, name: str) -> int:
    """Return the bytes of a segment. Raise UsageError if it is no size, or too small."""
    size = parse_size(text, name)
    if size < LEAST_SIZE:
        raise UsageError(f"{name} {text}: at least 64K")
    return size


def parse_keep(text: str) -> Keep:
    """Return an age if the text has a unit of time, else a size."""
    if is_time(text):
        return Keep(seconds=parse_seconds(text, "--keep"))
    try:
        return Keep(bytes=parse_bytes(text, "--keep"))
    except UsageError as error:
        if "at least" in str(error):
            raise
        raise UsageError(f"--keep {text}: give an age or a size, such as 7d or 20G") from None


class Recording:
    """One recording, or those of a flight recorder; ``sink`` takes the batches."""

    def __init__(self, folder: str, force: bool, given: RecordingArguments, options: dict[str, Any]) -> None:
        self._flight: FlightSink | None = None
        self.sink: Sink
        if given.flight_recorder:
            self.sink = self._flight = _flight(Path(folder), given, options, force)
            signal.signal(signal.SIGUSR1, self._request_dump)
        else:
            self.sink = new_recording(Path(folder), given, options, force)

    def _request_dump(self, _number: int, _frame: object) -> None:
        if self._flight:
            self._flight.dump_requested = True

    def poll(self, session: Session, failed: bool) -> None:
        """Call this repeatedly. ``failed``: the traced command has failed."""
        if self._flight and self._flight.is_due(failed):
            session.list_pending()
            self._flight.dump(session.stats_so_far())

    def stop(self) -> None:
        """Stop: tracing is over."""
        if self._flight:
            self._flight.stop()


def new_recording(folder: Path, given: RecordingArguments, options: dict[str, Any], force: bool) -> TraceSink:
    """Create a recording."""
    libraries.set_variable("ARROW_DEFAULT_MEMORY_POOL", "system")  # Arrow's own allocator keeps 60 MB more after sealing (measured)
    from filetap.recording.writer import TraceSink

    return TraceSink(folder, metadata(options), given.limits(), force, shown)


def _flight(folder: Path, given: RecordingArguments, options: dict[str, Any], force: bool) -> FlightSink:
    libraries.set_variable("ARROW_DEFAULT_MEMORY_POOL", "system")
    from filetap.recording.flight import FlightSink

    return FlightSink(folder, metadata(options), given.flight(), force, log_message=log_message, shown=shown)


def metadata(options: dict[str, Any]) -> Metadata:
    """Return the metadata of a recording that begins now."""
    from importlib.metadata import version  # slow to import

    from filetap.core.calls import CALLS
    from filetap.recording.format import Metadata

    system = os.uname()
    return Metadata(
        uuid=str(uuid.uuid4()),
        node=system.nodename,
        boot=Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip(),
        kernel=system.release,
        machine=system.machine,
        filetap=version("filetap"),
        began=utc(time.time()),
        command=[word.encode(errors="surrogateescape").decode(errors="replace") for word in sys.argv],
        options=plain(options),
        calls=[(call.op, call.name) for call in CALLS],
        libraries={name: version(name) for name in ("pyarrow", "numpy")},
    )


def plain(value: Any) -> Any:
    """Return the value in types that JSON has; words that are not text get replacement characters."""
    if isinstance(value, str):
        return value.encode(errors="surrogateescape").decode(errors="replace")
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items() if one not in (None, False, (), [], "")}
    return [plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def shown(progress: Iterator[tuple[int, int]]) -> None:
    """Show a bar on a terminal, if it takes long."""
    share = -1.0
    with Progress() as drawn:
        drawn.begin("sealing", lambda: share)
        for done, total in progress:
            share = done / total if total else -1.0
