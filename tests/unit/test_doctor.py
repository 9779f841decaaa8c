"""filetap doctor without a kernel: capabilities, requirements, choice and rendering, from invented findings.

Separate, as it needs neither root nor BPF.
"""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from filetap.capture import features, trials
from filetap.capture.features import Features, HookSet, Plan, Requirement, Way
from filetap.cli.doctor import doctor
from filetap.core.errors import KernelError
from filetap.kernel.types import KernelTypes
from filetap.report.doctor import COLUMNS, as_json, as_text

HELD = dict.fromkeys(features.CAPABILITIES, True)
WORKS = HookSet("syscalls", "opens", (Way("tp_btf", True, ""), Way("tracepoint", True, "")), "tp_btf", "stat", "nothing")
FAILS = HookSet("process", "forks", (Way("tp_btf", False, "denied by this system (EPERM)"),), None, "children", "ask")
SPARED = HookSet("vfs", "all", (Way("lsm", False, features.NOT_TRIED),), None, "names", "attach", needed=False)
MET = Requirement("BTF", True, True, "/sys/kernel/btf/vmlinux")
UNMET = Requirement("capabilities", False, True, "missing capabilities CAP_BPF (to load programs): run it as root, with sudo")
SLOW = Requirement("bpf_rdonly_cast", False, False, "not in this kernel")
GOOD = Features("6.18.0", "x86_64", "1.1", HELD, (MET, SLOW), (WORKS, SPARED))


def status(effective: int) -> str:
    return f"Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t{effective:016x}\nCapBnd:\t000001ffffffffff\n"


@pytest.mark.parametrize(
    ("effective", "absent"),
    [
        (0x1FFFFFFFFFF, []),
        (0x1FFFEFFFFFF, []),
        (0, ["CAP_BPF", "CAP_PERFMON", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE"]),
        (1 << 39 | 1 << 38, ["CAP_SYS_ADMIN", "CAP_SYS_PTRACE"]),
        (1 << 39 | 1 << 38 | 1 << 21, ["CAP_SYS_PTRACE"]),
        (1 << 21 | 1 << 19, []),
        (1 << 19 | 1 << 38, ["CAP_BPF", "CAP_SYS_ADMIN"]),
    ],
)
def test_capabilities_missing(effective: int, absent: list[str]) -> None:
    assert features.missing(features.capabilities(status(effective))) == absent


def test_capabilities_without_the_line() -> None:
    assert not any(features.capabilities("Name:\tx\n").values())


def test_capabilities_are_reported() -> None:
    assert features.capabilities(status(1 << 21)) == dict(HELD, CAP_BPF=False, CAP_PERFMON=False, CAP_SYS_PTRACE=False)


@pytest.fixture
def met(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the path of /proc/self/status on a machine where every requirement is met."""
    path = tmp_path / "status"
    path.write_text(status(0x1FFFFFFFFFF))
    monkeypatch.setattr(features, "_STATUS", str(path))
    monkeypatch.setattr(features, "BTF", str(path))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(features, "_INITIAL_USER_NAMESPACE", Path("/proc/self/ns/user").stat().st_ino)
    monkeypatch.setitem(features._CHECKS, "libbpf", lambda: "1.1")
    return path


def refusal() -> str:
    with pytest.raises(KernelError) as caught:
        features.require()
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.usefixtures("met")
def test_require() -> None:
    features.require()


@pytest.mark.usefixtures("met")
def test_require_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert refusal().startswith("this is aarch64, and this version supports only 64-bit x86-64")


@pytest.mark.usefixtures("met")
def test_require_64_bit_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.maxsize", (1 << 31) - 1)
    assert "x86_64, 32-bit Python" in refusal()


@pytest.mark.parametrize(("user", "begin", "end"), [(0, "missing", "service"), (1000, "not root, missing", "run it as root, with sudo")])
def test_require_capabilities(met: Path, monkeypatch: pytest.MonkeyPatch, user: int, begin: str, end: str) -> None:
    met.write_text(status(1 << 21))
    monkeypatch.setattr("os.geteuid", lambda: user)
    text = refusal()
    assert text.startswith(f"{begin} capabilities CAP_SYS_PTRACE (to ")
    assert text.endswith(end)
    assert "CAP_BPF" not in text


@pytest.mark.usefixtures("met")
def test_require_user_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "_INITIAL_USER_NAMESPACE", 1)
    assert "user namespace" in refusal()


@pytest.mark.usefixtures("met")
def test_require_btf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "BTF", "/nowhere/vmlinux")
    assert refusal().startswith("/nowhere/vmlinux is missing: run a kernel built with CONFIG_DEBUG_INFO_BTF")


@pytest.mark.usefixtures("met")
def test_require_libbpf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(features._CHECKS, "libbpf", absent_library)
    assert refusal() == "libbpf.so.1 is missing: install it"


def absent_library() -> str:
    raise KernelError("libbpf.so.1 is missing: install it")


@pytest.mark.usefixtures("met")
def test_examine_tries_nothing_when_a_requirement_is_not_met(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(features._CHECKS, "libbpf", absent_library)
    monkeypatch.setattr(features, "KernelTypes", None)
    found = features.examine()
    assert not found.tracing
    assert found.libbpf is None
    assert {way.reason for hook_set in found.hook_sets for way in hook_set.ways} == {features.NOT_TRIED}
    assert all(hook_set.missed for hook_set in found.hook_sets)


@pytest.mark.usefixtures("met")
def test_examine_survives_types_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable() -> None:
        raise KernelError("cannot be read: install a newer libbpf")

    monkeypatch.setattr(features, "KernelTypes", unreadable)
    found = features.examine()
    assert not found.tracing
    assert [row.detail for row in found.requirements if not row.met] == ["cannot be read: install a newer libbpf"]


def attempt(outcome: int | str) -> trials.Attempt:
    """An attempt that ends with this errno, with this KernelError, or (0) successfully."""

    def run(_: KernelTypes) -> None:
        if isinstance(outcome, str):
            raise KernelError(outcome)
        if outcome:
            raise OSError(outcome, "kernel error")

    return run


@pytest.mark.parametrize(
    ("first", "second", "chosen", "reason"),
    [
        (0, 0, "first", ""),
        (0, errno.EPERM, "first", ""),
        (errno.EPERM, 0, "second", "denied by this system (EPERM)"),
        (errno.EACCES, 0, "second", "denied by this system (EACCES)"),
        (errno.EINVAL, 0, "second", "not in this kernel (EINVAL)"),
        ("this kernel has no x", 0, "second", "this kernel has no x"),
        (errno.EPERM, errno.ENOENT, None, "denied by this system (EPERM)"),
    ],
)
def test_hook_set_takes_the_first_attach_type_that_works(first: int | str, second: int | str, chosen: str | None, reason: str) -> None:
    plan = Plan("p", "sees", {"first": (attempt(0), attempt(first)), "second": (attempt(second),)}, "little", "everything")
    types: Any = object()
    found = features.hook_set(plan, types, ready=True)
    assert found.chosen == chosen
    assert found.ways[0] == Way("first", not reason, reason)
    assert found.missed == ("little" if chosen else "everything")
    assert (found.advice == "nothing") == bool(chosen)


def test_hook_set_has_advice_where_no_attach_type_works() -> None:
    types: Any = object()
    plan = Plan("p", "sees", {"way": (attempt("no such tracepoint"),)}, "little", "everything", remedy="run another", needed=False)
    found = features.hook_set(plan, types, ready=True)
    assert (found.chosen, found.advice, found.needed) == (None, "run another", False)


def test_hook_set_chooses_nothing_unless_it_can_trace() -> None:
    types: Any = object()
    found = features.hook_set(Plan("p", "sees", {"way": (attempt(0),)}, "little", "everything"), types, ready=False)
    assert found.ways == (Way("way", True, ""),)
    assert found.chosen is None
    assert found.missed == "everything"
    assert found.advice == "meet the requirements"


def test_plans_report_what_is_missing() -> None:
    assert [plan.name for plan in features.PLANS if plan.needed] == ["syscalls", "process", "faults"]
    assert all(plan.without for plan in features.PLANS)


@pytest.mark.parametrize(
    ("found", "tracing"),
    [
        (GOOD, True),
        (replace(GOOD, hook_sets=(WORKS, FAILS)), False),
        (replace(GOOD, hook_sets=(WORKS, replace(FAILS, needed=False))), True),
        (replace(GOOD, requirements=(MET, UNMET)), False),
    ],
)
def test_tracing(found: Features, tracing: bool) -> None:
    assert found.tracing is tracing


TEXT = """\
Tracing does not work here.
Linux 6.18.0, x86_64, libbpf not found

Requirements
  yes BTF              /sys/kernel/btf/vmlinux
  no  bpf_rdonly_cast  not in this kernel
  NO  capabilities     missing capabilities CAP_BPF (to load programs): run it as root, with sudo

syscalls: opens
  yes tp_btf      attaches; chosen
  yes tracepoint  attaches
  not seen:  stat
  to do:     nothing

process: forks
  no  tp_btf  denied by this system (EPERM)
  not seen:  children
  to do:     ask

vfs: all
  ?   lsm  not tried
  not seen:  names
  to do:     attach"""


def test_text() -> None:
    found = replace(GOOD, libbpf=None, requirements=(MET, SLOW, UNMET), hook_sets=(WORKS, FAILS, SPARED))
    assert as_text(found) == TEXT


def test_text_fits_the_columns() -> None:
    long = "a sentence that goes on and on " * 20
    hook_set = HookSet("h", long, (Way("way", False, long),), None, long, long)
    found = Features("6" * 80, "x86_64", "1.1", HELD, (Requirement("r", False, True, long),), (hook_set,))
    lines = as_text(found).splitlines()
    assert max(len(line) for line in lines[4:]) <= COLUMNS
    assert "".join(lines).count("sentence") == 20 * 5


def test_text_omits_what_is_not_missing() -> None:
    assert "not seen:" not in as_text(replace(GOOD, hook_sets=(replace(WORKS, missed=""),)))


def test_json_is_one_object_on_one_line() -> None:
    text = as_json(GOOD)
    assert "\n" not in text
    value = json.loads(text)
    assert list(value) == ["tracing", "kernel", "architecture", "libbpf", "capabilities", "requirements", "hook_sets"]
    assert value["tracing"] is True
    assert value["capabilities"]["CAP_BPF"] is True
    assert value["hook_sets"][0]["ways"] == [
        {"name": "tp_btf", "works": True, "reason": ""},
        {"name": "tracepoint", "works": True, "reason": ""},
    ]


@pytest.mark.parametrize(("found", "code"), [(GOOD, 0), (replace(GOOD, requirements=(UNMET,)), 1)])
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_command(monkeypatch: pytest.MonkeyPatch, found: Features, code: int, options: list[str]) -> None:
    monkeypatch.setattr(features, "examine", lambda: found)
    result = CliRunner().invoke(doctor, options)
    assert result.exit_code == code
    assert result.output == (as_json(found) if options else as_text(found)) + "\n"


def test_command_with_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(features, "examine", lambda: GOOD)
    monkeypatch.setattr(click, "echo", full)
    with pytest.raises(click.ClickException, match="standard output: No space left on device"):
        doctor.main([], standalone_mode=False)


def test_command_help_has_examples() -> None:
    text = CliRunner().invoke(doctor, ["--help"]).output
    assert "filetap doctor --json | python3 -m json.tool\n" in text
