"""The table of files: ids to the definitions that the kernel sent, within a limit.

Separate, because decoding is on demand: a definition is stored as it came, a third of the size, until a sink reads it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Final

import numpy as np

from filetap.capture.decode import decode_file, file_record
from filetap.core import wire
from filetap.core.batch import File
from filetap.core.wire import Records
from filetap.kernel.maps import Map

U32: Final = np.dtype("<u4")

Aggregated = Callable[[str], set[int]]
"""The ids that overflows refer to, of "file" or "task". They are written when the run ends, so these ids must stay known."""


def none_aggregated(_kind: str) -> set[int]:
    return set()


class Files(Mapping[int, File]):
    """Id to File. Holds ``limit`` of the kernel's definitions, evicted ones for a while longer, those that overflows refer to
    until the end; decodes on demand."""

    DECODED: Final = 8192
    """Decoded files that are cached for sinks."""
    GRACE: Final = 2.0
    """Seconds for which an id stays known after its end in the kernel: an event that refers to it may still be in a ring."""

    def __init__(
        self,
        limit: int,
        inner_paths: bool = False,
        now: Callable[[], float] = time.monotonic,
        aggregated: Aggregated = none_aggregated,
    ) -> None:
        """``inner_paths``: definitions have paths inside their file systems."""
        self.limit, self._inner_paths, self._now, self._aggregated = limit, inner_paths, now, aggregated
        self._records: dict[int, bytes] = {}
        self._kept: dict[int, bytes] = {}
        self._evicted: deque[tuple[float, dict[int, bytes]]] = deque()
        self.made: dict[int, File] = {}
        """Files that the kernel did not define."""
        self._decoded: dict[int, File] = {}

    def __getitem__(self, number: int) -> File:
        file = self.made.get(number) or self._decoded.get(number)
        if file is None:
            file = decode_file(self._record(number), self._inner_paths)
            if len(self._decoded) >= self.DECODED:
                self._decoded.clear()
            self._decoded[number] = file
        return file

    def _record(self, number: int) -> bytes:
        for records in self._tables():
            if number in records:
                return records[number]
        raise KeyError(number)

    def _tables(self) -> Iterator[dict[int, bytes]]:
        """Yield the tables of the kernel's definitions: present and evicted ones."""
        yield self._records
        yield from (records for _, records in self._evicted)
        yield self._kept

    def __iter__(self) -> Iterator[int]:
        yield from self.made
        for records in self._tables():
            yield from records

    def __len__(self) -> int:
        return len(self.made) + sum(map(len, self._tables()))

    def __contains__(self, number: object) -> bool:
        return number in self.made or any(number in records for records in self._tables())

    def path(self, number: int) -> bytes:
        """Return the path of a file, empty for an unknown id."""
        return self[number].path if number in self else b""

    def define(self, number: int, record: bytes) -> None:
        self._records[number] = record

    def add(self, file: File) -> None:
        """Add a file that the kernel did not define."""
        self.made[file.id] = file

    def forget(self, number: int) -> None:
        """Remove a file added by ``add``."""
        self.made.pop(number, None)

    def evict(self) -> Records:
        """Evict the older files once there are more than ``limit``, down to half of it. Return their keys in the kernel's
        cache, from which they must be removed."""
        now = self._now()
        while self._evicted and self._evicted[0][0] < now:
            self._release(self._evicted.popleft()[1])
        if len(self._records) <= self.limit:
            return np.zeros(0, wire.FILE_KEY)
        many = len(self._records) - self.limit // 2
        half = {number: self._records.pop(number) for number in list(islice(self._records, many))}
        self._evicted.append((now + self.GRACE, half))
        return np.array([self._key(record) for record in half.values()], wire.FILE_KEY)

    def _release(self, records: dict[int, bytes]) -> None:
        aggregated = self._aggregated("file")
        self._kept |= {number: record for number, record in records.items() if number in aggregated}
        for number in records:
            self._decoded.pop(number, None)

    @staticmethod
    def _key(record: bytes) -> tuple[int, ...]:
        row = file_record(record)
        return row["inode"], row["key_dentry"], row["key_mount"], row["key_name"], row["key_origin"], row["generation"], row["sequence"]


class OverflowKeys:
    """The ids that overflows refer to, of "file" or "task"; searched only if an event was aggregated."""

    def __init__(self, overflows: int, counts: int, cpus: int) -> None:
        """``overflows``, ``counts``: the maps' descriptors."""
        self._overflows, self._counts, self._cpus = Map(overflows, wire.OVERFLOW_KEY, wire.OVERFLOW), Map(counts, U32, wire.COUNTERS), cpus

    def __call__(self, kind: str) -> set[int]:
        if not self._counts.per_cpu(self._cpus)["aggregated"].any():
            return set()
        return set(self._overflows.items()[0][kind].tolist())
