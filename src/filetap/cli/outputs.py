"""The outputs of one run: opened before tracing starts, and removed if it does not start."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING

from filetap.capture.outlet import Outlet, Queue, WhenFull
from filetap.cli.arguments import STANDARD, Arguments, spill_of
from filetap.cli.output import OutputFile, check_distinct, make_sink, standard_stream
from filetap.cli.recorder import Recording, new_recording
from filetap.core.errors import FiletapError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from filetap.capture.signals import Stop
    from filetap.core.sink import Sink


class Outputs:
    """``outlets`` take the events of a run. ``standard``: the stream ("output" or "error") for events without ``-o``.

    ``views``: sinks that show the run itself.
    """

    def __init__(self, given: Arguments, standard: str, stop: Stop, views: Sequence[Sink] = ()) -> None:
        """``stop``: ends waiting for the reader of a FIFO."""
        self._given, self._standard, self._stop = given, standard, stop
        self._stats: OutputFile | None = None
        self._files: list[OutputFile] = []
        self.recordings: list[Recording] = []
        self.outlets: list[Outlet] = []
        try:
            self._open()
        except BaseException:
            self.discard()
            raise
        self.outlets += [Outlet(view, view=True) for view in views]

    def _open(self) -> None:
        given = self._given
        if given.stats:
            self._stats = OutputFile("/dev/stdout" if given.stats == STANDARD else given.stats, force=True, stop=self._stop)
            self._files.append(self._stats)
        for name in given.recordings:
            self.recordings.append(Recording(name, given.force, given, given.options()))
            self.outlets.append(Outlet(self.recordings[-1].sink, name, self._queue(name, "block")))
        streams = {name: self._stream(name) for name, _ in given.streams}
        named = {f"-o {name}" if name else shown: stream for name, (shown, stream) in streams.items()}
        check_distinct(named | ({f"--stats {given.stats}": self._stats} if self._stats and not self._stats.is_stream else {}))
        for name, form in given.streams:
            shown, stream = streams[name]
            sink = make_sink(form, stream, given.zone, ancestors=given.ancestors, args=given.arguments)
            self.outlets.append(Outlet(sink, shown, self._queue(shown, given.when_full)))

    def _stream(self, name: str) -> tuple[str, IO[bytes]]:
        """Return the name and the stream of a FILE of -o."""
        if name in ("", STANDARD):
            which = self._standard if not name else "output"
            return f"standard {which}", standard_stream(which)
        self._files.append(OutputFile(name, self._given.force, self._stop))
        return name, self._files[-1]

    def _queue(self, name: str, when_full: WhenFull) -> Queue:
        """Return the queue of an output. The only one has none unless it may miss events: the kernel's rings are one."""
        given = self._given
        if len(given.recordings) + len(given.streams) < 2 and when_full == "block":
            return Queue()
        return Queue(given.queue_bytes, when_full, self._spill(name) if when_full == "spill" else None)

    def _spill(self, name: str) -> Outlet:
        """Return the recording for events that an output is too slow for."""
        folder = spill_of(name)
        return Outlet(new_recording(Path(folder), self._given, self._given.options(), self._given.force), folder)

    def begin(self) -> None:
        """Empty older files, once everything is attached."""
        for file in self._files:
            file.empty()

    def discard(self) -> None:
        """Remove what was created: nothing was traced, and it would make the next run fail."""
        for outlet in self.outlets:
            outlet.abort("the run did not begin")
        for file in self._files:
            file.discard()

    def write_statistics(self, text: str) -> FiletapError | None:
        """Write the statistics. Return the error, if any."""
        if not self._stats:
            return None
        try:
            with self._stats as stream:
                stream.write(text.encode())
        except OSError as error:
            return FiletapError(f"{self._given.stats}: {error.strerror}")
        return None
