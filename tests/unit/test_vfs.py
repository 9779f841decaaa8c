"""Which hooks fit which kernel, and the notes about others; the kernel is a table of functions.

Separate from tests/kernel/test_vfs.py, which attaches them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest

from filetap.capture import hooks, trials
from filetap.core.calls import CALLS, FIRST_HOOK, HOOKS
from filetap.core.errors import KernelError
from filetap.probes import vfs
from filetap.probes.vfs import ATTACH_TYPES, NEWER, NO_LSM_HOOK, TABLE, Hook

ALL: Final = list(TABLE)
MKDIR: Final = next(hook for hook in TABLE if hook.program == "path_mkdir")
RENAME: Final = next(hook for hook in TABLE if hook.program == "path_rename")
UTIMES: Final = next(hook for hook in TABLE if hook.program == "vfs_utimes")


STRUCTURES = {"security_path_chown"}
"""Its kuid_t and kgid_t."""


class Kernel:
    """Functions and their numbers of parameters: those of 6.18, except the given ones."""

    def __init__(self, **changed: int | None) -> None:
        own: dict[str, int | None] = {hook.function: hook.parameters[-1] for hook in TABLE}
        lsm: dict[str, int | None] = {f"bpf_lsm_{hook.lsm}": hook.lsm_parameters[-1] for hook in TABLE if hook.lsm}
        self.functions = own | lsm | changed
        self.preempts = False

    def parameters_of(self, function: str) -> int | None:
        return self.functions.get(function)

    def takes_structure(self, function: str) -> bool:
        return function in STRUCTURES

    def preempts_tracepoints(self) -> bool:
        return self.preempts


@pytest.mark.parametrize("attach_type", ATTACH_TYPES)
def test_every_hook_fits_the_kernel_it_was_written_for(attach_type: str) -> None:
    incompatibilities = {hook.program: hook.incompatibility(attach_type, Kernel()) for hook in TABLE}
    assert {program: why for program, why in incompatibilities.items() if why} == (
        {"vfs_utimes": NO_LSM_HOOK} if attach_type == "lsm" else {}
    )


@pytest.mark.parametrize(
    ("attach_type", "changed", "why"),
    [
        ("fentry", {"security_path_mkdir": 4}, "security_path_mkdir takes 4 parameters here, not 3"),
        ("kprobe", {"security_path_mkdir": 2}, "security_path_mkdir takes 2 parameters here, not 3"),
        ("lsm", {"bpf_lsm_path_mkdir": 4}, "bpf_lsm_path_mkdir takes 4 parameters here, not 3"),
        ("fentry", {"security_path_mkdir": None}, "this kernel has no security_path_mkdir"),
        ("lsm", {"bpf_lsm_path_mkdir": None}, "this kernel has no bpf_lsm_path_mkdir"),
        ("lsm", {"security_path_mkdir": 9}, ""),
        ("fentry", {"bpf_lsm_path_mkdir": 9}, ""),
    ],
)
def test_another_signature_does_not_fit(attach_type: str, changed: dict[str, int | None], why: str) -> None:
    assert MKDIR.incompatibility(attach_type, Kernel(**changed)) == why


def test_a_hook_may_have_had_several_signatures() -> None:
    assert [RENAME.incompatibility("lsm", Kernel(bpf_lsm_path_rename=count)) for count in (4, 5)] == ["", ""]
    assert RENAME.incompatibility("lsm", Kernel(bpf_lsm_path_rename=6)) == "bpf_lsm_path_rename takes 6 parameters here, not 4 or 5"


def test_the_table_is_that_of_calls() -> None:
    assert {hook.function for hook in TABLE} == {hook.name for hook in HOOKS}
    assert {hook.function for hook in TABLE} >= set(NEWER)


def test_auto_attaches_the_hooks_that_resolve_names() -> None:
    def attached(level: str, *names: str) -> set[str]:
        chosen = frozenset(number for number, call in enumerate(CALLS) if call.name in names)
        return {hook.function for hook in vfs.hooks(chosen, level)}

    assert attached("auto", "mkdirat", "openat", "read") == {"security_path_mkdir"}
    assert attached("auto", "fchmod") == {"security_path_chmod", "security_path_chown", "vfs_utimes"}
    assert attached("auto", "openat", "read", "close") == set()
    assert attached("syscall", "mkdir", "rename") == set()
    assert attached("vfs", "security_path_mkdir", "execve") == {"security_path_mkdir"}
    assert vfs.choices(frozenset([FIRST_HOOK]))["call"].tolist()[:2] == [FIRST_HOOK, 0]


class Loaded:
    """An object whose programs attach, except those that are refused."""

    def __init__(self, refused: frozenset[str]) -> None:
        self._refused = refused

    def attach_hook(self, program: str, attach_type: str, target: str) -> str:
        if f"{attach_type}:{program}" in self._refused:
            raise OSError(22, "Invalid argument")
        return f"{attach_type}:{target}"


def attach(
    monkeypatch: pytest.MonkeyPatch,
    wanted: Sequence[Hook] = ALL,
    *,
    no_attach_type: str = "",
    unloadable: frozenset[str] = frozenset(),
    unattachable: frozenset[str] = frozenset(),
    loads: list[str] | None = None,
    preempts: bool = False,
    **changed: int | None,
) -> hooks.Attached:
    """Attach hooks. ``no_attach_type``: is denied here; the others name a type and a program, as lsm:path_mkdir. ``loads``: receives the
    type of each."""

    def load(attach_type: str, chosen: Sequence[Hook]) -> Loaded:
        if loads is not None:
            loads.append(attach_type)
        if any(f"{attach_type}:{hook.program}" in unloadable for hook in chosen):
            raise KernelError("the kernel refused vfs.bpf.o")
        return Loaded(unattachable)

    monkeypatch.setattr(trials, "hook", lambda attach_type, name, kernel: None)
    monkeypatch.setattr(trials, "reason", lambda attempt, kernel: "denied" if no_attach_type in (attempt.args[0], "all") else "")
    kernel = Kernel(**changed)
    kernel.preempts = preempts
    return hooks.attach(wanted, load, kernel)  # type: ignore[arg-type]


def test_the_best_attach_type_without_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    done = attach(monkeypatch)
    assert done.attach_types == {hook.function: "lsm" for hook in TABLE} | {"vfs_utimes": "fentry"}
    assert done.notes(ALL) == []
    assert done.missed(ALL) == []


def test_attach_types_that_are_never_skipped_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    done = attach(monkeypatch, preempts=True)
    assert done.attach_types == {hook.function: "lsm" for hook in TABLE} | {"vfs_utimes": "kprobe"}
    assert set(attach(monkeypatch, preempts=True, no_attach_type="lsm").attach_types.values()) == {"kprobe"}


def test_a_denied_attach_type_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    done = attach(monkeypatch, no_attach_type="lsm")
    assert set(done.attach_types.values()) == {"fentry"}
    assert done.notes(ALL) == ["hooks attach by fentry, not by lsm (denied)"]


def test_no_attach_type(monkeypatch: pytest.MonkeyPatch) -> None:
    done = attach(monkeypatch, no_attach_type="all")
    assert done.attach_types == {}
    assert done.why() == "lsm: denied; fentry: denied; kprobe: denied"


@pytest.mark.parametrize(
    ("unloadable", "unattachable", "reason"),
    [
        (frozenset({"lsm:path_chown", "fentry:path_chown"}), frozenset(), "the kernel refused vfs.bpf.o"),
        (frozenset(), frozenset({"lsm:path_chown", "fentry:path_chown"}), "not in this kernel (EINVAL)"),
    ],
)
def test_one_hook_takes_another_attach_type(
    monkeypatch: pytest.MonkeyPatch, unloadable: frozenset[str], unattachable: frozenset[str], reason: str
) -> None:
    """And what the kernel refuses for one hook is no reason to omit the others."""
    done = attach(monkeypatch, unloadable=unloadable, unattachable=unattachable)
    assert done.attach_types == {hook.function: "lsm" for hook in TABLE} | {"vfs_utimes": "fentry", "security_path_chown": "kprobe"}
    assert done.notes(ALL) == [
        f"hooks attach by kprobe, not by lsm ({reason}): security_path_chown",
        f"hooks attach by kprobe, not by fentry ({reason}): security_path_chown",
    ]


@pytest.mark.parametrize(("program", "most"), [("path_chown", 3), ("path_chmod", 11)])
def test_hooks_with_a_structure_parameter_are_found_at_once(monkeypatch: pytest.MonkeyPatch, program: str, most: int) -> None:
    """This is 5.10's reason to refuse one; each load takes a second. Any other is found by bisection."""
    loads: list[str] = []
    done = attach(monkeypatch, unloadable=frozenset({f"fentry:{program}"}), no_attach_type="lsm", loads=loads)
    assert [function for function, attach_type in done.attach_types.items() if attach_type == "kprobe"] == [f"security_{program}"]
    assert loads.count("fentry") <= most
    assert loads.count("kprobe") == 1


def test_an_unknown_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    done = attach(monkeypatch, security_path_mkdir=4, bpf_lsm_path_mkdir=4)
    assert "security_path_mkdir" not in done.attach_types
    assert done.missed(ALL) == [MKDIR]
    assert done.notes(ALL) == ["not seen: security_path_mkdir, because no hook type attaches to it"]


def test_hooks_replaced_by_others_on_older_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    done = attach(monkeypatch, security_file_truncate=None, bpf_lsm_file_truncate=None)
    assert "security_file_truncate" not in done.attach_types
    assert done.notes(ALL) == []
