"""kernel/features.py against the running kernel, and against oracles that share no code with it.

Separate, as it needs root. The oracles: bpftool's dump of the BTF, /proc/kallsyms, capget(2), tracefs and securityfs
mounted in a mount namespace of their own, and a trace that really begins.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

from filetap.capture import features, trials
from filetap.capture.features import Features
from filetap.kernel.maps import PREFIX
from filetap.kernel.types import KernelTypes
from filetap.selection.targets import Targets
from tests.kernel.harness import Shell, Watch, wanted
from tests.kernel.test_ends import kept
from tests.loaded import held, programs
from tests.timeouts import wait_for

BPFTOOL = shutil.which("bpftool", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
needs_bpftool = pytest.mark.skipif(BPFTOOL is None, reason="the oracle, bpftool, is not installed")


@pytest.fixture(scope="module")
def found() -> Features:
    return features.examine()


@cache
def bpftool(*arguments: str) -> str:
    return subprocess.run([str(BPFTOOL), *arguments], check=True, capture_output=True, text=True).stdout


@cache
def btf_dump() -> str:
    return bpftool("btf", "dump", "file", "/sys/kernel/btf/vmlinux", "format", "raw")


@cache
def symbols() -> frozenset[str]:
    return frozenset(line.split()[2] for line in Path("/proc/kallsyms").read_text().splitlines())


def mounted(file_system: str, command: str) -> str:
    """Return the output of a shell command in a fresh mount of the file system, in a mount namespace that ends with it."""
    with TemporaryDirectory() as point:
        script = f"mount -t {file_system} none {point} && cd {point} && {command}"
        return subprocess.run(["unshare", "-m", "sh", "-c", script], check=True, capture_output=True, text=True).stdout


def works(found: Features, hook_set: str, way: str) -> bool:
    return next(w.works for h in found.hook_sets if h.name == hook_set for w in h.ways if w.name == way)


def met(found: Features, name: str) -> bool:
    return next(row.met for row in found.requirements if row.name == name)


@pytest.mark.hooks
@pytest.mark.parametrize("way", ["fentry", "kprobe"])
def test_hooks_below_the_system_calls_attach(found: Features, way: str) -> None:
    """All Debian kernels allow them. Whether LSM is allowed is chosen at boot: see securityfs below."""
    assert works(found, "vfs", way)


def test_require() -> None:
    features.require()


@pytest.mark.parametrize("name", ["bpf_rdonly_cast", "bpf_path_d_path", "bpf_no_such_function"])
def test_has_kfunc(name: str) -> None:
    with KernelTypes() as types:
        assert types.has_kfunc(name) == (name in symbols())


def test_task_storage() -> None:
    """Whether the verifier knows the helper (enum bpf_func_id: 156), whatever the members of a task are."""
    with KernelTypes() as types:
        try:
            trials.helper(156, types)
            allowed = True
        except OSError:
            allowed = False
        assert types.has_task_storage() == allowed


def listed_parameters(tracepoint: str) -> int:
    """Return the parameters in bpftool's dump: [1] TYPEDEF 'btf_trace_x' type_id=2, [2] PTR .. type_id=3, [3] FUNC_PROTO .. vlen=; the
    first is internal."""
    named = re.search(rf"TYPEDEF 'btf_trace_{tracepoint}' type_id=(\d+)", btf_dump())
    if not named:
        return 0
    pointer = re.search(rf"^\[{named[1]}\] PTR .* type_id=(\d+)", btf_dump(), re.MULTILINE)
    assert pointer
    function = re.search(rf"^\[{pointer[1]}\] FUNC_PROTO .* vlen=(\d+)", btf_dump(), re.MULTILINE)
    assert function
    return int(function[1]) - 1


@needs_bpftool
@pytest.mark.parametrize("tracepoint", ["sys_enter", "sys_exit", "io_uring_complete", "io_uring_submit_req", "no_such_tracepoint"])
def test_parameters_of_a_tracepoint(tracepoint: str) -> None:
    with KernelTypes() as types:
        assert types.parameters(tracepoint) == listed_parameters(tracepoint)


@pytest.mark.parametrize(
    ("function", "takes"), [("from_kuid", True), ("ksys_fchown", False), ("vfs_read", False), ("no_such_function", False)]
)
def test_structure_as_a_parameter(function: str, takes: bool) -> None:
    """include/linux/uidgid.h, syscalls.h, fs.h: a kuid_t is a structure, a uid_t a number, a file is pointed to."""
    with KernelTypes() as types:
        assert types.takes_structure(function) == takes


@needs_bpftool
def test_helper_numbers() -> None:
    for name, number in features._HELPERS.items():
        reported = re.search(rf"'BPF_FUNC_{name.removeprefix('bpf_')}' val=(\d+)", btf_dump())
        assert reported is None or int(reported[1]) == number, name


def test_helpers(found: Features) -> None:
    assert met(found, "helpers") == (symbols() >= set(features._HELPERS))


def test_helper_that_no_kernel_has() -> None:
    with KernelTypes() as types, pytest.raises(OSError, match="Invalid argument"):
        trials.helper(9999, types)


@needs_bpftool
def test_ring_buffer(found: Features) -> None:
    probed = json.loads(bpftool("-j", "feature", "probe", "kernel"))
    assert met(found, "ring buffer") == probed["map_types"]["have_ringbuf_map_type"]


@needs_bpftool
def test_tracepoints_with_types(found: Features) -> None:
    def there(*events: str) -> bool:
        return all(f"TYPEDEF 'btf_trace_{event}'" in btf_dump() for event in events)

    way = "tracepoint" if "TYPEDEF 'class_srcu_fast_notrace_t'" in btf_dump() else "tp_btf"  # how 7.x is distinguished from others
    assert works(found, "syscalls", way) == there("sys_enter", "sys_exit")
    assert works(found, "process", way) == there("sched_process_fork", "sched_process_exec", "sched_process_exit")
    assert works(found, "faults", "tp_btf") == there("page_fault_user", "page_fault_kernel")
    submit = there("io_uring_submit_req") or there("io_uring_submit_sqe")
    reported = listed_parameters("io_uring_complete") in (3, 7)  # 5.10's has four, and the request is none of them
    assert works(found, "io_uring", way) == (submit and reported)


def test_classic_tracepoints(found: Features) -> None:
    there = "sys_exit_openat" in mounted("tracefs", "ls events/syscalls").split()
    assert works(found, "syscalls", "tracepoint") == (there and "bpf_task_pt_regs" in symbols())


def test_kprobes(found: Features) -> None:
    if works(found, "vfs", "kprobe"):
        assert "kprobe_events" in mounted("tracefs", "ls").split()
        assert "security_file_permission" in symbols()
    elif not Path("/sys/bus/event_source/devices/kprobe").exists():
        assert "kprobe_events" not in mounted("tracefs", "ls").split()


def test_security_modules(found: Features) -> None:
    modules = mounted("securityfs", "cat lsm").split(",")
    assert trials.security_modules() == modules
    if works(found, "vfs", "lsm"):
        assert "bpf" in modules
        assert "bpf_lsm_file_open" in symbols()


def test_each_attach_type_gives_its_reason(found: Features) -> None:
    ways = [way for hook_set in found.hook_sets for way in hook_set.ways]
    assert all(bool(way.reason) != way.works for way in ways)
    assert features.NOT_TRIED not in {way.reason for way in ways}


def test_a_trace_begins_if_the_requirements_are_met(found: Features) -> None:
    code = "from filetap.cli.main import main; main()"
    done = python(code, "trace", "-f", "none", "--", "true")
    assert (done.returncode == 0) == found.tracing, done.stderr


def test_capabilities(found: Features) -> None:
    """Return the sets of capget(2), whose two halves of 32 bits are effective, permitted and inheritable each."""
    header, data = ctypes.create_string_buffer(struct.pack("<Ii", 0x20080522, 0)), ctypes.create_string_buffer(24)
    assert ctypes.CDLL(None).capget(header, data) == 0
    low, _, _, high, _, _ = struct.unpack("<6I", data.raw)
    assert found.capabilities == {name: bool((high << 32 | low) >> c.bit & 1) for name, c in features.CAPABILITIES.items()}


PROGRAM = """
import json, os, sys
from dataclasses import asdict
import filetap.report.doctor
from filetap.core.errors import FiletapError
from filetap.capture import features, trials
{change}
try:
    features.require()
except FiletapError as error:
    print(error)
else:
    print()
print(filetap.report.doctor.as_json(features.examine()))
"""


def python(code: str, *arguments: str, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run ``code`` in another process that finds the same modules as this one."""
    environment = {**os.environ, "PYTHONPATH": ":".join(path for path in sys.path if path)}
    return subprocess.run([*prefix, sys.executable, "-c", code, *arguments], check=False, capture_output=True, text=True, env=environment)


def run(change: str = "", *prefix: str) -> tuple[str, dict[str, object]]:
    """Return require()'s error and doctor's output, from a process that changed its credentials first or was started by another command."""
    done = python(PROGRAM.format(change=change), prefix=prefix)
    assert done.stderr == ""
    error, document = done.stdout.splitlines()
    return error, json.loads(document)


def test_not_root() -> None:
    error, document = run("os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)")
    assert error.startswith("not root, missing capabilities CAP_BPF (")
    assert error.endswith("run it as root, with sudo")
    assert all(name in error for name in features.CAPABILITIES)
    assert document["tracing"] is False


@pytest.mark.parametrize(
    ("dropped", "named"),
    [
        (["sys_ptrace"], {"CAP_SYS_PTRACE"}),
        (["bpf", "perfmon"], set()),
        (["bpf", "sys_admin"], {"CAP_BPF", "CAP_SYS_ADMIN"}),
    ],
)
def test_dropped_capabilities_are_named(found: Features, dropped: list[str], named: set[str]) -> None:
    error, document = run("", "setpriv", "--bounding-set=" + ",".join(f"-{name}" for name in dropped))
    assert {name for name in features.CAPABILITIES if name in error} == named
    assert document["tracing"] is (found.tracing and not named)


def test_root_of_a_user_namespace() -> None:
    error, document = run("", "unshare", "--user", "--map-root-user")
    assert "user namespace" in error
    assert document["tracing"] is False


def listed(kind: str) -> list[dict[str, Any]]:
    """Return what bpftool shows of the objects that this process holds (not of others, see tests/loaded.py)."""
    numbers = sorted(number for one, number in kept(os.getpid()) if one == kind)
    return [json.loads(bpftool("-j", kind, "show", "id", str(number))) for number in numbers]


def left_by_doctor() -> set[int]:
    """Return the programs of a doctor that no process holds, and no other one is using."""
    return {number for number, (_, name, _) in programs() if name == "ft_doctor"} - held("prog")


ALIKE: Final = {
    "process": ("process_fork", "classic_fork"),
    "syscalls": ("raw_exit", "every_exit"),
    "faults": ("fault_user",),
    "io_uring": ("complete_cqe", "complete_val", "classic_cqe"),
}
"""Programs of a hook set that do the same by different attach types."""


@needs_bpftool
@pytest.mark.parametrize("preempted", [False, pytest.param(True, marks=pytest.mark.native("kernels before 6.12 refuse these programs"))])
def test_a_trace_attaches_what_is_chosen(monkeypatch: pytest.MonkeyPatch, preempted: bool) -> None:
    """Here, and as on kernels that preempt programs of raw tracepoints: bpftool shows the types of what a session has loaded."""
    if preempted:
        monkeypatch.setattr(KernelTypes, "preempts_tracepoints", lambda _: True)
    chosen = {hook_set.name: hook_set.chosen for hook_set in features.examine().hook_sets}
    with Shell() as shell, Watch(Targets(pids=[shell.pid]), wanted("all")):
        loaded = listed("prog")
    kinds = {item["name"].removeprefix(PREFIX): "tp_btf" if item["type"] == "tracing" else item["type"] for item in loaded}
    found = {hook_set: {kind for name, kind in kinds.items() if name in alike} for hook_set, alike in ALIKE.items()}
    assert found == {hook_set: {chosen[hook_set]} - {None} for hook_set in ALIKE}


@needs_bpftool
@pytest.mark.parametrize("options", [{"level": "auto"}, {"level": "vfs", "best_effort": True}, {"aggregate": True}], ids=str)
def test_names_in_bpftool_have_the_prefix(options: dict[str, Any]) -> None:
    """All programs and maps of a session have the prefix, also those of the iterators over calls under way."""
    with Shell() as shell, Watch(Targets(pids=[shell.pid]), wanted("all", paths=["/"]), **options) as tracer:
        tracer.source.underway()
        names = {kind: [item["name"] for item in listed(kind)] for kind in ("prog", "map")}
    assert len(names["prog"]) > 10
    assert len(names["map"]) > 20
    assert [name for of_kind in names.values() for name in of_kind if not name.startswith("ft_")] == []


def test_nothing_is_left_behind() -> None:
    features.examine()
    before = sorted(os.listdir("/proc/self/fd")), Path("/proc/self/mountinfo").read_text()
    features.examine()
    with KernelTypes() as types:
        types.has_kfunc("bpf_rdonly_cast")
    assert (sorted(os.listdir("/proc/self/fd")), Path("/proc/self/mountinfo").read_text()) == before
    wait_for(lambda: not left_by_doctor())  # the kernel frees a program some time after its last descriptor
