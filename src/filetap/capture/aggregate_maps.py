"""The kernel's sums of events: two maps in turn, one that is added to and one that is read.

Separate, because the proof that no event is lost between the two is in one place.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from filetap.core import wire
from filetap.core.wire import Records
from filetap.kernel.maps import Map

U32: Final = np.dtype("<u4")


class AggregateMaps:
    """Both maps; the first is in use."""

    def __init__(self, place: int, one: int, other: int) -> None:
        """Takes descriptors. ``place``: the map 'aggregates', whose only element is the map that is added to."""
        self._place = Map(place, U32, U32)
        self._used, self._idle = (Map(fd, wire.AGGREGATE_KEY, wire.AGGREGATE) for fd in (one, other))
        self._place.put(0, self._used.fd)

    def take(self) -> tuple[Records, Records]:
        """Return keys and values of everything that was summed up since the last call.

        First the empty map replaces the full one. That update returns only when every program has ended that may have found the
        full one (maybe_wait_bpf_programs(), 1ae80cf31938, v4.20), so nothing is added to what is read here, and what is deleted
        has been read. Programs that begin meanwhile find the other map.
        """
        self._place.put(0, self._idle.fd)
        self._used, self._idle = self._idle, self._used
        return self._idle.take()
