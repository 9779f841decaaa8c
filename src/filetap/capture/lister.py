"""Lists pending calls: what is pending at two moments, with its arguments.

Separate from underway.py, which asks the kernel once, and from pending.py, which makes events of records.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from filetap.capture.definitions import Definitions
from filetap.capture.name_filter import NameFilter, UnresolvedNameFilter
from filetap.capture.options import Options
from filetap.capture.peer import Wanted, completed, read
from filetap.capture.pending import AIO, REQUESTS, Listing, Pending, same, wanted
from filetap.capture.underway import Underway
from filetap.core import wire
from filetap.core.batch import Batch
from filetap.core.calls import CALLS
from filetap.core.errors import FiletapError
from filetap.core.wire import Records
from filetap.render.columns import durations

NONE: Final = np.zeros(0, wire.PENDING_CALL)


class Lister:
    """Looks for pending calls, twice, and applies the filters of user space."""

    def __init__(self, options: Options, definitions: Definitions, new_id: Callable[[], int], underway: Callable[[], Underway]) -> None:
        """``new_id``: makes an id for a file or task. ``underway``: returns what asks the kernel, loaded at its first use."""
        self._filters, self._underway = options.filters, underway
        self._names = NameFilter(options.filters)
        self._timed, self._cgroups = options.timed, bool(options.targets.cgroups)
        named_only = UnresolvedNameFilter(options.filters).exclusive
        self._pending = Pending(options.filters.calls, definitions, new_id, named_only)
        self.failures: list[str] = []
        """Notes: why something is not listed."""

    def look(self) -> Records:
        """Return everything that is pending at this moment, however short. A failure is noted and does not end the run."""
        if self._filters.failed:
            return NONE  # whether a pending call will fail is not known
        try:
            return self._pending.chosen(self._underway().calls())
        except FiletapError as error:
            self.failures.append(f"pending calls are not listed: {error}")
            return NONE

    def again(self, before: Records) -> Listing:
        """Return what of ``before`` is still pending, and its arguments."""
        if not len(before):
            return Listing(before, [])
        found = same(before, self.look(), self._timed)
        alive = self._alive(found)
        found = found[~self._completed(found, alive)]
        needed = [wanted(CALLS[number], record) for number, record in zip(self._pending.calls(found), found, strict=True)]
        data = read(found, needed)
        if not any(needs != Wanted() for needs in needed):
            return Listing(found, data, alive)
        still = {int(tid) for tid in same(found, self.look(), self._timed)["tid"]}
        kept = [row for row, tid in enumerate(found["tid"].tolist()) if tid in still]
        return Listing(found[kept], [data[row] for row in kept], alive)

    def _alive(self, found: Records) -> dict[tuple[int, int], int]:
        """Return processes with requests: by pid and start their numbers in /proc."""
        if not REQUESTS.intersection(found["call"].tolist()):
            return {}
        return {(pid, start): number for start, pid, number in self._underway().living().tolist()}

    def _completed(self, found: Records, alive: dict[tuple[int, int], int]) -> Records:
        """Return which are requests of io_submit whose completions are in their processes' memory, and were not seen by a
        call yet."""
        aio = np.isin(found["call"], AIO)
        if not aio.any():
            return aio
        places, positions = self._underway().rings()
        there = [owner in alive for owner in zip(places["tgid"].tolist(), places["start"].tolist(), strict=True)]
        rings = places[there], positions[there]
        numbers = {pid: number for (pid, _), number in alive.items() if number and pid in found["pid"][aio]}
        done = {(pid, address) for pid, number in numbers.items() for address in completed(pid, number, *rings)}
        return aio & [request in done for request in zip(found["pid"].tolist(), found["ip"].tolist(), strict=True)]

    def batch(self, listing: Listing, began: int, realtime: int) -> Batch:
        """Return the batch. ``began``: start of the trace, CLOCK_BOOTTIME."""
        whole = self._pending.batch(listing, self._bound(began), realtime)
        batch = self._names.filtered(whole)
        least = self._filters.min_latency
        return batch.where(durations(batch.events) >= least) if least else batch

    def _bound(self, began: int) -> int:
        """Return since when the beginning of every target's calls is traced; 0: a process may have joined a cgroup in the
        middle of a call."""
        return began if self._timed and not self._cgroups else 0
