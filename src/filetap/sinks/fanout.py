"""A recording, together with the stream of printed events, if any.

Separate, so that neither depends on the other. Recorded events count as written.
"""

from __future__ import annotations

from collections.abc import Sequence

from filetap.core.batch import Batch, Overflow, Sink


class Fanout:
    def __init__(self, recording: Sink, streams: Sequence[Sink]) -> None:
        self._recording, self._streams = recording, streams
        self.written = 0
        self._draining = False

    @property
    def draining(self) -> bool:
        return self._draining

    @draining.setter
    def draining(self, value: bool) -> None:
        self._draining = value
        for sink in self._streams:
            sink.draining = value

    def write(self, batch: Batch) -> None:
        try:
            self._recording.write(batch)
        finally:
            self.written = self._recording.written
        for sink in self._streams:
            sink.write(batch)

    def flush(self) -> None:
        self._recording.flush()
        for sink in self._streams:
            sink.flush()

    def aggregated(self, overflows: Sequence[Overflow], batch: Batch) -> None:
        self._recording.aggregated(overflows, batch)
        for sink in self._streams:
            sink.aggregated(overflows, batch)

    def pending(self, batch: Batch) -> None:
        self._recording.pending(batch)
        for sink in self._streams:
            sink.pending(batch)

    def close(self) -> None:
        """Close the streams: the recording is closed when its statistics are known."""
        for sink in self._streams:
            sink.close()
