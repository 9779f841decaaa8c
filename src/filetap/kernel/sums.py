"""The kernel's sums of events: two maps in turn, one that is added to and one that is read.

Apart, because why no event is lost between the two is an argument of its own. Next: source.py has one for a run that
aggregates; aggregation.py makes tables of what it takes.
"""

from __future__ import annotations

import os
from typing import Final

import numpy as np

from filetap import model
from filetap.kernel.libbpf import check, library
from filetap.kernel.maps import Map
from filetap.model import Records

HASH: Final = 1
"""BPF_MAP_TYPE_HASH."""
U32: Final = np.dtype("<u4")


class Sums:
    """Both maps, the first in its place."""

    def __init__(self, place: int, entries: int) -> None:
        """``place``: the descriptor of the map 'aggregates', whose only element is the map that is added to."""
        self._place = Map(place, U32, U32)
        self._used, self._idle = self._make(entries), self._make(entries)
        self._place.put(0, self._used.fd)

    @staticmethod
    def _make(entries: int) -> Map:
        sizes = model.AGGREGATE_KEY.itemsize, model.AGGREGATE.itemsize
        fd = check(library().bpf_map_create(HASH, b"sums", *sizes, entries, None), "bpf map sums")
        return Map(fd, model.AGGREGATE_KEY, model.AGGREGATE)

    def take(self) -> tuple[Records, Records]:
        """Keys and values of all that was summed up since the last time.

        First the empty map takes the full one's place. That update returns only when every program has ended that may
        have found the full one (maybe_wait_bpf_programs(), 1ae80cf31938, v4.20), so nothing is added to what is read here,
        and what is deleted has been read. Programs that begin meanwhile find the other map.
        """
        self._place.put(0, self._idle.fd)
        self._used, self._idle = self._idle, self._used
        return self._idle.take()

    def close(self) -> None:
        for sums in (self._used, self._idle):
            os.close(sums.fd)
