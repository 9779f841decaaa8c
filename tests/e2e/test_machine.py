"""A machine or user that does not permit tracing: one line that names what is missing, and status 1.

Separate from test_errors.py, as these tests take things away from filetap: capabilities, libbpf, BTF, the user
namespace. Mounts are made in mount namespaces that end with the test.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import ENVIRONMENT

if TYPE_CHECKING:
    from tests.e2e.conftest import Filetap, Result

ROOT = Path(__file__).parents[2]
NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all")
WORDS = ("trace", "-f", "none", "--", "touch")


def failed(done: Result, ran: Path) -> str:
    """Return the only line of an error."""
    assert (done.status, done.out) == (1, b"")
    (line,) = done.err.decode().splitlines()
    assert line.startswith("filetap: ")
    assert not ran.exists()
    return line


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """Return a file that the command would create in a directory for all users."""
    tmp_path.chmod(0o777)
    for parent in list(tmp_path.parents)[:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    return tmp_path / "ran"


def reachable(ft: Filetap) -> None:
    """Skip if filetap is installed below a directory that only root can enter."""
    probe = subprocess.run([*NOBODY, *ft.command, "--help"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip(f"{ft.command[0]} cannot be run by others: {probe.stderr.decode().strip()[-100:]}")


def test_not_root(ft: Filetap, ran: Path) -> None:
    reachable(ft)
    line = failed(ft(*WORDS, ran, before=NOBODY), ran)
    assert "not root" in line
    assert {"CAP_BPF", "CAP_PERFMON"} <= set(line.replace(",", " ").split())
    assert "sudo" in line


def test_not_root_but_capable(ft: Filetap, tree: Path, ran: Path) -> None:
    """Ambient capabilities are sufficient without root."""
    caps = "cap_bpf,cap_perfmon,cap_sys_admin,cap_sys_ptrace"
    user = ("/usr/sbin/capsh", "--keep=1", "--gid=65534", "--uid=65534", f"--inh={caps}", f"--addamb={caps}", "--", "-c", 'exec "$0" "$@"')
    # The interpreter of the virtual environment may lie in root's own home; Debian's runs the same packages.
    python = ("/usr/bin/python3.11", "-c", "import sys; sys.argv[0] = 'filetap'; from filetap.cli.main import main; main()")
    packages = [path for path in sys.path if "-packages" in path or path.startswith(str(ROOT))]  # the other Python has its own library
    environment = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(packages)}
    if subprocess.run([*user, *python, "--help"], capture_output=True, env=environment, check=False).returncode:
        pytest.skip("this checkout cannot be read by others at all")
    tree.chmod(0o755)
    (tree / "a").chmod(0o644)
    command = [*user, *python, "trace", "-f", "none", "--", "cat", str(tree / "a")]
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stdout) == (0, b"hello world\n"), done.stderr


LACKING = {
    "-bpf,-sys_admin": {"CAP_BPF"},
    "-perfmon,-sys_admin": {"CAP_PERFMON"},
    "-sys_admin": {"CAP_SYS_ADMIN"},
    "-sys_ptrace": {"CAP_SYS_PTRACE"},
    "-bpf,-perfmon,-sys_admin,-sys_ptrace": {"CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE"},
}


@pytest.mark.parametrize("without", LACKING)
def test_capabilities_that_are_missing_are_named(ft: Filetap, ran: Path, without: str) -> None:
    line = failed(ft(*WORDS, ran, before=("setpriv", "--bounding-set", without)), ran)
    named = {word for word in line.replace(",", " ").split() if word.startswith("CAP_")}
    assert named - {"CAP_SYS_ADMIN"} == LACKING[without] - {"CAP_SYS_ADMIN"}
    assert LACKING[without] <= named


@pytest.mark.parametrize("without", ["-bpf", "-perfmon", "-bpf,-perfmon", "-sys_resource", "-dac_override,-dac_read_search", "-net_admin"])
def test_implied_and_unneeded_capabilities(ft: Filetap, tree: Path, without: str) -> None:
    words = ("trace", "-f", "json", "-e", "descriptor", "-e", "read", tree, "--", "cat", tree / "a")
    done = ft(*words, before=("setpriv", "--bounding-set", without))
    assert (done.status, len(done.events)) == (0, 4)


def test_root_of_a_user_namespace(ft: Filetap, ran: Path) -> None:
    line = failed(ft(*WORDS, ran, before=("unshare", "-Ur")), ran)
    assert "user namespace" in line


def test_no_btf(ft: Filetap, ran: Path) -> None:
    done = ft.private('mount -t tmpfs none /sys/kernel/btf; filetap trace -f none -- touch "$RAN"', RAN=ran)
    line = failed(done, ran)
    assert "/sys/kernel/btf/vmlinux" in line
    assert "CONFIG_DEBUG_INFO_BTF" in line


def library_file() -> str:
    """Return the path of libbpf.so.1, from the dynamic loader's cache."""
    cache = subprocess.run(["/sbin/ldconfig", "-p"], check=True, capture_output=True, text=True).stdout
    return next(os.path.realpath(line.split()[-1]) for line in cache.splitlines() if "libbpf.so.1 " in line)


def test_libbpf_missing(ft: Filetap, ran: Path) -> None:
    done = ft.private('mount --bind /dev/null "$LIBRARY"; filetap trace -f none -- touch "$RAN"', LIBRARY=library_file(), RAN=ran)
    line = failed(done, ran)
    assert "libbpf.so.1 is missing" in line
    assert "libbpf1" in line


def test_libbpf_too_old(ft: Filetap, tmp_path: Path, ran: Path) -> None:
    """A library of that name without the functions."""
    subprocess.run(["gcc", "-shared", "-x", "c", "-o", tmp_path / "libbpf.so.1", "-"], input=b"int libbpf_set_print;", check=True)
    done = ft(*WORDS, ran, env={"LD_LIBRARY_PATH": str(tmp_path)})
    line = failed(done, ran)
    assert "too old" in line
    assert "1.1" in line


def test_no_cgroup2(ft: Filetap, ran: Path) -> None:
    done = ft.private('umount -a -l -t cgroup2; filetap trace --sandbox -- touch "$RAN"', RAN=ran)
    assert done.status in (1, 2)
    (line,) = done.err.decode().splitlines()
    assert line.startswith("filetap: ")
    assert "cgroup2" in line
    assert not ran.exists()


def test_read_only_cgroup2_names_the_option(ft: Filetap, ran: Path) -> None:
    find = "m=$(awk '/ - cgroup2 /{print $5; exit}' /proc/self/mountinfo)"
    done = ft.private(f'{find}; mount -o remount,bind,ro "$m"; filetap trace --sandbox -- touch "$RAN"', RAN=ran)
    assert done.status in (1, 2)
    (line,) = done.err.decode().splitlines()
    assert "--sandbox" in line
    assert not ran.exists()


def test_tracefs_is_not_left_mounted(ft: Filetap) -> None:
    """Classic tracepoints need tracefs; if it was not mounted before, it is not mounted afterwards."""
    mounted = "cut -d' ' -f5 /proc/self/mountinfo"
    traced = 'umount -a -l -t tracefs,debugfs; before=$(%s); filetap trace -f none -e open -- true && [ "$before" = "$(%s)" ]'
    assert ft.private(traced % (mounted, mounted)).status == 0


def test_doctor_reports_that_tracing_works(ft: Filetap) -> None:
    done = ft("doctor", "--json")
    assert (done.status, done.err) == (0, b"")
    assert json.loads(done.out)["tracing"] is True
    assert ft("doctor").out.startswith(b"Tracing works here.")


def test_doctor_where_nothing_works(ft: Filetap) -> None:
    done = ft.private("mount -t tmpfs none /sys/kernel/btf; filetap doctor --json")
    assert (done.status, done.err) == (1, b"")
    assert json.loads(done.out)["tracing"] is False
