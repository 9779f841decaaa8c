"""BPF objects: opened, configured, connected to shared maps, loaded, attached; nothing is left when they are closed.

Separate, because it is the only place that holds kernel resources: everything is a file descriptor of this process, so a kill
-9 leaves nothing behind.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import Final, Self

import numpy as np

from filetap.core import descriptors, wire
from filetap.core.errors import KernelError
from filetap.kernel import btf, perf
from filetap.kernel.libbpf import check, library, log, pointer
from filetap.kernel.maps import PREFIX, make_constant

OBJECTS: Final = Path(__file__).parent.parent / "bpf"
"""Where ``make install`` puts the compiled objects."""

TASKS: Final = 16 << 10
"""Tasks that can be traced at a time, where their state is in a table."""
_HASH: Final = 1
"""BPF_MAP_TYPE_HASH."""


_KINDS: Final = {"fentry": (26, 24), "lsm": (29, 27), "kprobe": (2, 0)}
"""A hook's attach type to BPF_PROG_TYPE_* and its expected attach type: BPF_TRACE_FENTRY, BPF_LSM_MAC, none."""


_OUT_OF_DESCRIPTORS: Final = re.compile(rf"\(-?{errno.EMFILE}\)")
"""libbpf prints this when descriptors run out; it continues and fails for another reason."""


class Object:
    """One .bpf.o: a hook set's programs and the maps they use. ``cast``: the one for kernels with KernelTypes.has_cast."""

    def __init__(self, name: str, *, cast: bool = False) -> None:
        path = OBJECTS / f"{name}{'.cast' if cast else ''}.bpf.o"
        if not path.exists():
            raise KernelError(f"{path} is missing: build it with make install")
        self.name = name
        self._handle: int | None = pointer(library().bpf_object__open_file(os.fsencode(path), None), str(path))
        self.maps = {_plain(library().bpf_map__name(m)): m for m in self._each("map")}
        self.programs = {_plain(library().bpf_program__name(p)): p for p in self._each("program")}
        self.loaded: set[str] = set()

    def _each(self, what: str) -> Iterator[int]:
        following = getattr(library(), f"bpf_object__next_{what}")
        item = following(self._handle, None)
        while item:
            yield item
            item = following(self._handle, item)

    def compare_layouts(self) -> None:
        """Raise KernelError if a structure of bpf/event.h differs from wire.py."""
        size = ctypes.c_uint32()
        raw = library().btf__raw_data(library().bpf_object__btf(self._handle), ctypes.byref(size))
        structures = btf.structures(ctypes.string_at(raw, size.value))
        for name, dtype in wire.LAYOUTS.items():
            if name in structures and structures[name] != layout(dtype):
                raise KernelError(f"{self.name}.bpf.o does not match this version of filetap (struct {name}): rebuild it with make install")

    def configure(self, config: np.ndarray, calls: np.ndarray) -> None:
        """Set the run's constants; both are single records or arrays of model's dtypes."""
        for name, value in ((".rodata.config", config), (".rodata.calls", calls)):
            if name in self.maps:
                self.set_constant(name, value)

    def set_constant(self, name: str, value: np.ndarray) -> None:
        """Set a constant before the load. libbpf would create and fill the map too, but without keeping its CPU
        (maps.fifo_scheduling): each start would cost other runs events."""
        with os.fdopen(make_constant(name, np.ascontiguousarray(value))) as made:
            check(library().bpf_map__reuse_fd(self.maps[name], made.fileno()), f"{self.name}: {name}")

    def resize(self, entries: Mapping[str, int]) -> None:
        """Set ``max_entries`` of these maps, before the load."""
        for name, count in entries.items():
            if name in self.maps:
                check(library().bpf_map__set_max_entries(self.maps[name], count), f"{self.name}: size of {name}")

    def keep_tasks_in_table(self) -> None:
        """Without task storage, make the map of tasks a preallocated hash by address."""
        if "tasks" in self.maps:
            handle = self.maps["tasks"]
            settings = {"type": _HASH, "key_size": ctypes.sizeof(ctypes.c_uint64), "map_flags": 0, "max_entries": TASKS}
            for name, value in settings.items():
                check(getattr(library(), f"bpf_map__set_{name}")(handle, value), f"{self.name}: {name} of tasks")

    def share(self, other: Object, own: Collection[str] = ()) -> None:
        """Use the maps that ``other`` has created, wherever the name is the same, except those of its ``own``."""
        for name in self.maps.keys() & other.maps.keys() - set(own):
            if not name.startswith("."):
                check(library().bpf_map__reuse_fd(self.maps[name], other.map_fd(name)), f"{self.name}: {name}")

    def load(self, programs: set[str]) -> None:
        """Load only these programs."""
        for name, program in self.programs.items():
            check(library().bpf_program__set_autoload(program, name in programs), name)
        error = library().bpf_object__load(self._handle)
        if error:
            text = log.take()
            descriptors.check(errno.EMFILE if _OUT_OF_DESCRIPTORS.search(text) else -error)
            raise KernelError(f"the kernel refused {self.name}.bpf.o: {os.strerror(-error)}; {refusal(text)}")
        self.loaded = programs & set(self.programs)

    def map_fd(self, name: str) -> int:
        """Return the file descriptor of a loaded map."""
        return check(library().bpf_map__fd(self.maps[name]), name)

    def value_type(self, name: str) -> np.dtype:
        """Return the type of a map whose values are not decoded here."""
        return np.dtype(f"V{library().bpf_map__value_size(self.maps[name])}")

    def missed(self) -> int:
        """Return how often the kernel skipped its programs, because they were already running on that CPU (9ed9e9ba2337,
        v5.12)."""
        return sum(_missed(self.program_fd(name)) for name in self.loaded)

    def program_fd(self, name: str) -> int:
        """Return the file descriptor of a loaded program."""
        return check(library().bpf_program__fd(self.programs[name]), name)

    def attach(self, program: str) -> Link:
        """Attach by the program's section. Raise OSError with the kernel's error."""
        return Link(pointer(library().bpf_program__attach(self.programs[program]), program))

    def attach_tracepoint(self, program: str, category: str, event: str) -> Link:
        """Attach to one classic tracepoint."""
        fd = perf.open_tracepoint(category, event)
        try:
            return Link(pointer(library().bpf_program__attach_perf_event(self.programs[program], fd), event))
        except OSError:
            os.close(fd)
            raise

    def set_attach_target(self, program: str, attach_type: str, function: str) -> None:
        """Set, before the load, the type of a program of the VFS level, and its function or LSM hook."""
        handle = self.programs[program]
        kind, attach = _KINDS[attach_type]
        check(library().bpf_program__set_type(handle, kind), program)
        check(library().bpf_program__set_expected_attach_type(handle, attach), program)
        if attach_type != "kprobe":
            check(library().bpf_program__set_attach_target(handle, 0, function.encode()), f"{program}: {function}")

    def attach_hook(self, program: str, attach_type: str, function: str) -> Link:
        """Attach a program whose target is set. Raise OSError with the kernel's error."""
        handle = self.programs[program]
        if attach_type == "kprobe":
            return Link(pointer(library().bpf_program__attach_kprobe(handle, False, function.encode()), function))
        attach = library().bpf_program__attach_lsm if attach_type == "lsm" else library().bpf_program__attach_trace
        return Link(pointer(attach(handle), function))

    def run_iterator(self, program: str) -> bytes:
        """Run an iterator to its end and return what it wrote."""
        with Link(pointer(library().bpf_program__attach_iter(self.programs[program], None), program)) as link:
            return _read_iterator(link, program)

    def run_iterator_on_ourselves(self, program: str) -> bytes:
        """Do the same for an iterator over tasks' files, limited to filetap's own where the kernel can (f0d74c4da1f0, v6.1):
        it visits no others."""
        info = struct.pack("<4I", 0, os.getpid(), 0, 0)  # union bpf_iter_link_info: tid, pid, pid_fd
        buffer = ctypes.create_string_buffer(info, len(info))
        options = struct.pack("<QQII", 24, ctypes.addressof(buffer), len(info), 0)  # struct bpf_iter_attach_opts
        handle = library().bpf_program__attach_iter(self.programs[program], options)
        if not handle:
            return self.run_iterator(program)
        with Link(handle) as link:
            return _read_iterator(link, program)

    def close(self) -> None:
        if self._handle:
            library().bpf_object__close(self._handle)
            self._handle = None


def _plain(name: bytes) -> str:
    return name.decode().removeprefix(PREFIX)


def _read_iterator(link: Link, program: str) -> bytes:
    with open(check(library().bpf_iter_create(link.fd), program), "rb") as stream:
        return stream.read()


def refusal(text: str) -> str:
    """Return the verifier's final message: its last line before the statistics."""
    before, found, _ = text.partition("\nprocessed ")
    return (before if found else text).strip().rpartition("\n")[2] or "it gave no reason"


class Link:
    """One attached program."""

    def __init__(self, handle: int) -> None:
        self._handle: int | None = handle

    @property
    def fd(self) -> int:
        return int(library().bpf_link__fd(self._handle))

    def close(self) -> None:
        handle, self._handle = self._handle, None
        if handle:
            library().bpf_link__destroy(handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def layout(dtype: np.dtype) -> dict[str, int]:
    """Return the ``dtype`` in the form of btf.structures()."""
    fields = dict(dtype.fields or {})
    names = {"reserved2": "reserved"} if "reserved2" in fields else {}
    found = {names.get(name, name): field[1] for name, field in fields.items()}
    head = {"kind", "flags", "id", "length", "reserved"} if "kind" in fields and "length" in fields else set()
    if head:
        found = {name: at for name, at in found.items() if name not in head or at >= 16} | {"head": 0}
    return found | {"": dtype.itemsize}


def _missed(program: int) -> int:
    lines = Path(f"/proc/self/fdinfo/{program}").read_text(encoding="ascii").splitlines()
    return sum(int(line.partition(":")[2]) for line in lines if line.startswith("recursion_misses:"))


def close_all(links: Sequence[Link]) -> Thread:
    """Detach in parallel, and in threads other than the reader's: the kernel takes 0.1 s for each tracepoint to wait for its
    readers."""
    threads = [Thread(target=link.close, name="detach") for link in links]

    def run() -> None:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    whole = Thread(target=run, name="detach")
    whole.start()
    return whole
