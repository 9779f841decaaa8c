"""The running kernel's own types: what exists, and how many parameters a tracepoint has.

Separate from features.py, because every run needs a few of them and only the doctor needs all.
"""

from __future__ import annotations

import ctypes
from typing import Final, Self

from filetap.core.errors import KernelError
from filetap.kernel.btf import CONST, FUNC, STRUCT, TYPEDEF, UNION, VOLATILE
from filetap.kernel.libbpf import library, pointer

BTF: Final = "/sys/kernel/btf/vmlinux"
REGISTERS: Final = "bpf_task_pt_regs"
"""dd6e10fbd9fb (v5.15)."""


class KernelTypes:
    """The BTF of the running kernel, some megabytes of it, until closed."""

    def __init__(self) -> None:
        try:
            self._handle: int | None = pointer(library().btf__load_vmlinux_btf(), BTF)
        except OSError as error:
            raise KernelError(f"{BTF} cannot be read ({error.strerror}): install a newer libbpf") from None

    def find(self, name: str, kind: int) -> int:
        """Return the id of the type, 0 if there is none."""
        return max(0, int(library().btf__find_by_name_kind(self._handle, name.encode(), kind)))

    def has_kfunc(self, name: str) -> bool:
        """Return whether this kernel has the function, for programs to call."""
        return self.find(name, FUNC) > 0

    def parameters_of(self, function: str) -> int | None:
        """Return how many parameters a function of the kernel takes; None: there is no such function."""
        number = self._target(self.find(function, FUNC))
        return self._type(number)[1] & 0xFFFF if number else None

    def takes_structure(self, function: str) -> bool:
        """Return whether a structure itself, such as a ``kuid_t``, is among the parameters of a function of the kernel."""
        number = self._target(self.find(function, FUNC))
        return any(self._is_structure(parameter) for _, parameter in self._rows(number, 2))

    def has_cast(self) -> bool:
        """Return whether programs may use plain loads through a number that they declare to be a pointer. a35b9af4ec2c
        (v6.2)."""
        return self.has_kfunc("bpf_rdonly_cast")

    def has_task_storage(self) -> bool:
        """Return whether tracing programs have task storage. They make the same test by CO-RE (HAS_TASK_STORAGE): the member
        came with it."""
        return self._has_member("task_struct", "bpf_storage")

    def preempts_tracepoints(self) -> bool:
        """Return whether tracepoints' programs are called with preemption on. Seen on 7.2, not on 6.18: there this class of
        locks protects a tracepoint's callers, instead of disabled preemption."""
        return bool(self.find("class_srcu_fast_notrace_t", TYPEDEF))

    def _has_member(self, structure: str, member: str) -> bool:
        """Search ``struct btf_member``: name, type, offset."""
        rows = self._rows(self.find(structure, STRUCT), 3)
        return any(library().btf__name_by_offset(self._handle, row[0]) == member.encode() for row in rows)

    def parameters(self, tracepoint: str) -> int:
        """Return how many values a program on a BTF tracepoint gets; 0: there is no such tracepoint.

        Its type is a typedef of a pointer to a function, whose first parameter is the kernel's own.
        """
        function = self._target(self._target(self.find(f"btf_trace_{tracepoint}", TYPEDEF)))
        return (self._type(function)[1] & 0xFFFF) - 1 if function else 0

    def _rows(self, number: int, words: int) -> list[list[int]]:
        """Return the data after a type's head: ``struct btf_member`` of 3 words, ``struct btf_param`` of 2."""
        if not number:
            return []
        found = library().btf__type_by_id(self._handle, number) + ctypes.sizeof(ctypes.c_uint32 * 3)
        return [list(row) for row in (ctypes.c_uint32 * words * (self._type(number)[1] & 0xFFFF)).from_address(found)]

    def _is_structure(self, number: int) -> bool:
        kind = self._kind(number)
        return kind in (STRUCT, UNION) or (kind in (TYPEDEF, CONST, VOLATILE) and self._is_structure(self._target(number)))

    def _kind(self, number: int) -> int:
        return self._type(number)[1] >> 24 & 0x1F

    def _type(self, number: int) -> tuple[int, int, int]:
        """Return struct btf_type: name, info, and the type it refers to."""
        found = library().btf__type_by_id(self._handle, number)
        name, info, target = (ctypes.c_uint32 * 3).from_address(found)
        return name, info, target

    def _target(self, number: int) -> int:
        return self._type(number)[2] if number else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        library().btf__free(self._handle)
        self._handle = None
