"""The files, the recording and the sink of one run: opened before tracing starts, and removed if it does not start."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from filetap.cli.arguments import Arguments
from filetap.cli.output import OutputFile, make_sink, standard_stream
from filetap.cli.recorder import Recording
from filetap.core.errors import FiletapError

if TYPE_CHECKING:
    from filetap.capture.session import Session
    from filetap.capture.statistics import Statistics
    from filetap.core.batch import Sink


class Outputs:
    """``sink`` takes the events of a run. ``standard``: the stream ("output" or "error") for events without ``-o``."""

    def __init__(self, given: Arguments, standard: str) -> None:
        self._given = given
        self._stats: OutputFile | None = None
        self._file: OutputFile | None = None
        self.recording: Recording | None = None
        try:
            self._open()
            self.sink: Sink = self._make_sink(standard)
        except BaseException:
            self.discard()
            raise

    def _open(self) -> None:
        given = self._given
        self._stats = OutputFile(given.stats, force=True) if given.stats else None
        self.recording = Recording(str(given.output).rstrip("/"), given.force, given, given.options()) if given.records else None
        self._file = OutputFile(given.output, given.force) if given.output and not given.records else None

    def _make_sink(self, standard: str) -> Sink:
        stream = (self._file or standard_stream(standard)) if self._given.streams else None
        given = self._given
        streams = [make_sink(given.shown, stream, given.zone, ancestors=given.ancestors, args=given.arguments)] if stream else []
        if not self.recording:
            return streams[0]
        from filetap.sinks.fanout import Fanout

        return Fanout(self.recording.sink, streams)

    def begin(self, session: Session) -> None:
        """Replace older files, once everything is attached."""
        for file in self._files():
            file.empty()
        if self.recording:
            self.recording.begin(session)

    def discard(self) -> None:
        """Remove what was created: nothing was traced, and it would make the next run fail."""
        if self.recording:
            self.recording.discard()
        for file in self._files():
            file.discard()

    def _files(self) -> list[OutputFile]:
        return [file for file in (self._file, self._stats) if file]

    def finish(self, stats: Statistics) -> FiletapError | None:
        """Write buffered output and seal the recording. Return the error, if any."""
        with suppress(OSError):
            self.sink.close()
        try:
            if self.recording:
                self.recording.end(stats)
        except FiletapError as error:
            return error
        return None

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
