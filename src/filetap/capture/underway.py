"""The iterators of pending calls, and the tables of requests that they look up.

Separate from programs.py, because most runs never load them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from filetap.capture.choice import Choice
from filetap.capture.namespaces import is_initial, numbers_in_proc
from filetap.capture.programs import Programs
from filetap.core import wire
from filetap.core.wire import Records
from filetap.kernel.loader import Object
from filetap.kernel.maps import Map
from filetap.probes.pending import PLAN, TABLES

IDS: Final = 3 << 30
"""Ids from here on are of definitions made by the iterators; the reader's begin at 2 << 30."""
AT_ONCE: Final = 4096
"""MAX_ASKED of bpf/lib/list_request.bpf.h."""
U32, U64 = np.dtype("<u4"), np.dtype("<u8")


class LazyUnderway:
    """Returns what lists pending calls and requests. Loaded at its first use: most runs end when their targets have ended."""

    def __init__(self, choice: Choice, programs: Programs, tgid: int) -> None:
        """``tgid``: filetap's."""
        self._choice, self._programs, self._tgid = choice, programs, tgid
        self._made: Underway | None = None

    def __call__(self) -> Underway:
        if not self._made:
            if not is_initial("pid") and self._choice.options.targets.anywhere:
                self._choice.untraced.append("not listed: pending calls of processes outside this pid namespace")
            objects = {plan.object: loaded for loaded, plan in self._programs.others if plan.object in TABLES}
            if not self._choice.sees_requests:
                objects.pop("uring", None)
            config = self._programs.config.copy()
            config["first_id"], config["args"] = IDS, False  # programs read arguments only from the current task's memory
            self._made = Underway(self._programs.load(PLAN, config, objects), objects, self._tgid)
        return self._made


class Underway:
    """Lists everything that is pending, on request."""

    def __init__(self, loaded: Object, objects: Mapping[str, Object], tgid: int) -> None:
        """``loaded``: of ``PLAN``; ``objects``: those of TABLES whose requests can be followed to completion; ``tgid``:
        filetap's."""
        self._numbers = numbers_in_proc(tgid)
        self._loaded, self._objects = loaded, objects
        self._queries = Map(loaded.map_fd("query_reqs"), U32, wire.REQUEST_QUERY)

    def calls(self) -> Records:
        """Return records of wire.PENDING_CALL: calls of threads, then requests."""
        of_threads = self._numbered(self._loaded.run_iterator("list_calls"), wire.PENDING_CALL, "tid")
        return np.concatenate([of_threads, *self._answers(np.concatenate(list(self._requests())))])

    def _requests(self) -> Iterator[Records]:
        """Yield their addresses: those of io_uring by address alone."""
        yield np.zeros(0, wire.AIO_REQUEST_KEY)
        if ring := self._objects.get("uring"):
            slots = Map(ring.map_fd("slots"), U32, wire.RING_SLOT).items()[1]["key"]
            others = Map(ring.map_fd("requests"), U64, wire.RING_SLOT["request"]).items()[0]
            keys = np.concatenate([slots[slots != 0], others])
            places = np.zeros(len(keys), wire.AIO_REQUEST_KEY)
            places["address"] = keys
            yield places
        if aio := self._objects.get("aio"):
            yield Map(aio.map_fd("under_way"), wire.AIO_REQUEST_KEY, aio.value_type("under_way")).items()[0]

    def _answers(self, places: Records) -> Iterator[Records]:
        for start in range(0, len(places), AT_ONCE):
            queries = np.zeros(min(AT_ONCE, len(places) - start + 1), wire.REQUEST_QUERY)
            part = places[start : start + AT_ONCE]
            queries["key"][: len(part)] = part
            self._queries.put_all(np.arange(len(queries), dtype=U32), queries)
            self._loaded.run_iterator("list_reqs")
            answers = self._queries.items()[1]["answer"][: len(part)]
            yield answers[answers["call"] != 0]

    def living(self) -> Records:
        """Return records of wire.LIVING: all processes that have not ended."""
        return self._numbered(self._loaded.run_iterator("list_living"), wire.LIVING, "pid")

    def _numbered(self, found: bytes, form: np.dtype[Any], kernel: str) -> Records:
        """Add the numbers that /proc has as ``number``; 0: none. ``kernel``: the column of the kernel's own."""
        records = np.frombuffer(found, form).copy()
        if self._numbers != "own":
            records["number"] = records[kernel] if self._numbers == "kernel" else 0
        return records

    def rings(self) -> tuple[Records, Records]:
        """Return, for io_submit, the contexts as wire.AIO_REQUEST_KEY, and how far the ring of each has been read."""
        if "aio" not in self._objects:
            return np.zeros(0, wire.AIO_REQUEST_KEY), np.zeros(0, U32)
        return Map(self._objects["aio"].map_fd("rings"), wire.AIO_REQUEST_KEY, U32).items()
