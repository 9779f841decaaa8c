"""The parts of a machine: Debian's cloud kernels, a root image that all of them share, and a QEMU that runs them.

Separate, because these are fetched once and stored outside the repository. Everything comes from the mirror in this machine's
own apt sources, through separate folders: the machine's apt is left alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent
CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "filetap-vm"
KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"
SUITES: Final = {"5.10": "bullseye", "6.1": "bookworm", "6.12": "trixie", "7.x": "sid"}
"""The suite where linux-image-cloud-amd64 leads to each kernel. sid: the newest there is."""
HOST: Final = "bookworm"
GUEST_PACKAGES: Final = "python3 libbpf1 kmod procps bpftool busybox-static e2fsprogs xfsprogs btrfs-progs"
QEMU_SUITE: Final = "bookworm-backports"
"""QEMU 10. Of bookworm's own 7.2, Linux 6.12 and later oops at random."""
NOT_IN_GUEST: Final = {"ziglang", "hatchling", "mypy", "ruff", "clang-format", "import-linter", "grimp"}
"""Pinned requirements that only build or lint."""
SIGNATURE: Final = 0x46544150
"""Signature of the root image's partition table: the kernel gets root=PARTUUID=SIGNATURE-01."""
MIB: Final = 1 << 20
SPARE: Final = 2048
"""MiB of the root image for files of tests; sparse."""


class VMError(Exception):
    """A machine cannot be made or run."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel, unpacked."""

    folder: Path

    @property
    def image(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def modules(self) -> Path:
        """Return a disk with /usr/lib/modules."""
        return self.folder / "modules.img"

    @property
    def version(self) -> str:
        """Return the version of the package."""
        return (self.folder / "version").read_text().strip()

    @property
    def security_modules(self) -> str:
        """Return CONFIG_LSM, for a machine that adds bpf to it."""
        found = re.search(r'^CONFIG_LSM="(.*)"$', (self.folder / "config").read_text(), re.MULTILINE)
        return found[1] if found else ""


def kernel(name: str) -> Kernel:
    return Kernel(_cached(Path("kernels") / name, lambda folder: _fetch_kernel(SUITES[name], folder)))


def qemu() -> list[str]:
    """Return the command, run by its own loader with its own libraries: it needs none of this machine."""
    root = _cached(Path("qemu"), _fetch_qemu)
    libraries = ":".join(str(root / part / "x86_64-linux-gnu") for part in ("lib", "usr/lib"))
    loader = [str(root / "lib64" / "ld-linux-x86-64.so.2"), "--library-path", libraries]
    return [*loader, str(root / "usr/bin/qemu-system-x86_64"), "-L", str(root / "usr/share/qemu"), "-L", str(root / "usr/share/seabios")]


def root_image() -> Path:
    """Return the root image, made again when its content changes."""
    key = hashlib.sha256("\0".join((GUEST_PACKAGES, requirements(), (HERE / "init").read_text())).encode()).hexdigest()[:12]
    return _cached(Path("root") / key, _make_root) / "root.img"


def qemu_version() -> str:
    return run(*qemu(), "--version").partition("version ")[2].partition("\n")[0]


def libbpf_version() -> str:
    """Return the version of the package in the root image."""
    status = (root_image().parent / "status").read_text()
    found = re.search(r"^Package: libbpf1\n(?:.+\n)*?Version: (.*)$", status, re.MULTILINE)
    return found[1] if found else "?"


def fetch_all() -> None:
    """Delete what was fetched, so that the next machine uses the present packages of the mirror."""
    shutil.rmtree(CACHE, ignore_errors=True)


def requirements() -> str:
    """Return the pinned requirements of the tests inside, with their hashes."""
    text = "".join((ROOT / name).read_text() for name in ("requirements.txt", "requirements-test.txt"))
    blocks = {block.partition("==")[0]: block for block in re.split(r"\n(?=[a-z])", text)}
    return "\n".join(block for name, block in sorted(blocks.items()) if name not in NOT_IN_GUEST)


def _cached(name: Path, make: Callable[[Path], None]) -> Path:
    """Return the folder in the cache, made unless it exists: completely or not at all, and by one process at a time."""
    target = CACHE / name
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            print(f"vm: fetching {name}", file=sys.stderr, flush=True)
            with TemporaryDirectory(dir=CACHE) as folder:
                unfinished = Path(folder) / "new"
                unfinished.mkdir()
                make(unfinished)
                target.parent.mkdir(parents=True, exist_ok=True)
                unfinished.rename(target)
    return target


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Return its standard output. Raise VMError with its message if it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, cwd=cwd, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise VMError(
            f"{' '.join(str(word) for word in command[:4])} ... ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        )
    return done.stdout


def source(suite: str) -> str:
    """Return the line of sources.list for a suite, on the mirror that this machine uses."""
    listed = run("apt-get", "--print-uris", "update")
    mirrors = re.findall(rf"'(\S+)/dists/{HOST}/InRelease'", listed)
    if not mirrors:
        raise VMError(f"this machine's apt sources name no mirror of Debian's {HOST}")
    return f"deb [signed-by={KEYRING}] {mirrors[0]} {suite} main"


@contextmanager
def _apt(suite: str) -> Iterator[list[str | Path]]:
    """Yield options that make apt read one suite, and keep its data in a folder that is removed afterwards."""
    with TemporaryDirectory() as folder:
        state = Path(folder)
        (state / "lists" / "partial").mkdir(parents=True)
        (state / "sources.list").write_text(source(suite) + "\n")
        (state / "status").touch()
        options = {
            "Dir::Etc::SourceList": state / "sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::State::Lists": state / "lists",
            "Dir::State::Status": state / "status",
            "Dir::Cache": state,
            "APT::Sandbox::User": "root",
        }
        words: list[str | Path] = [f"-o{name}={value}" for name, value in options.items()]
        run("apt-get", *words, "update")
        yield words


def _fetch_kernel(suite: str, folder: Path) -> None:
    """Fetch a kernel. An image package may be split (linux-binary, linux-modules): all cloud packages are taken."""
    files = folder / "files"
    with _apt(suite) as options:
        packages = _cloud_packages("linux-image-cloud-amd64", options)
        run("apt-get", *options, "download", *packages, cwd=folder)
        versions = run("apt-cache", *options, "show", "--no-all-versions", "linux-image-cloud-amd64")
    for package in folder.glob("*.deb"):
        run("dpkg", "-x", package, files)
        package.unlink()
    (folder / "version").write_text(re.findall(r"^Version: (.*)$", versions, re.MULTILINE)[0])
    _find(files, "vmlinuz*").rename(folder / "vmlinuz")
    _find(files, "config*").rename(folder / "config")
    _modules_disk(_find(files, "modules.builtin").parent, folder)
    shutil.rmtree(files)


def _cloud_packages(package: str, options: list[str | Path]) -> list[str]:
    found = [package]
    for one in found:
        depends = run("apt-cache", *options, "depends", one)
        found += [name for name in re.findall(r"Depends: (linux-\S*cloud-amd64)\n", depends) if name not in found]
    return found


def _find(folder: Path, pattern: str) -> Path:
    found = [path for path in sorted(folder.rglob(pattern)) if path.is_file()]
    if not found:
        raise VMError(f"no {pattern} in what Debian packs as kernel: {sorted(path.name for path in folder.rglob('*'))[:20]}")
    return found[0]


def _modules_disk(modules: Path, folder: Path) -> None:
    """Make a disk with the indexes that modprobe needs, which a package's installation makes."""
    tree = folder / "modules"
    (tree / "lib" / "modules").mkdir(parents=True)
    modules.rename(tree / "lib" / "modules" / modules.name)
    run("depmod", "-b", tree, modules.name)
    make_disk(folder / "modules.img", tree / "lib" / "modules", 32)
    shutil.rmtree(tree)


def make_disk(image: Path, tree: Path, spare: int, *, partitioned: bool = False) -> None:
    """Make an ext4 file system with a folder's contents, labelled like the file, and this many MiB to spare."""
    size = int(run("du", "-sm", "--apparent-size", tree).split()[0]) * 5 // 4 + spare
    entries = sum(len(folders) + len(files) for _, folders, files in os.walk(tree))
    with image.open("wb") as file:
        file.truncate((size + 1) * MIB)
        if partitioned:
            file.write(_partition_table(size))
    offset = MIB if partitioned else 0
    options = f"offset={offset},lazy_itable_init=1,nodiscard"
    run("mkfs.ext4", "-q", "-F", "-L", image.stem, "-N", str(entries + 65536), "-E", options, "-d", tree, image, f"{size}M")


def _partition_table(size: int) -> bytes:
    """Return a master boot record with one partition from 1 MiB on: the kernel finds it by the signature, without an
    initramfs."""
    entry = struct.pack("<B3sB3sII", 0, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff", MIB // 512, size * (MIB // 512))
    return bytes(0x1B8) + struct.pack("<IH", SIGNATURE, 0) + entry + bytes(48) + b"\x55\xaa"


def _fetch_qemu(folder: Path) -> None:
    newer = f'APT::Default-Release "{QEMU_SUITE}"'
    no_more = 'APT::Install-Recommends "false"'
    options = ("--quiet", "--variant=extract", "--include=qemu-system-x86", f"--aptopt={newer}", f"--aptopt={no_more}")
    run("mmdebstrap", *options, HOST, folder, source(HOST), source(QEMU_SUITE))
    folder.chmod(0o755)


def _make_root(folder: Path) -> None:
    tree = folder / "tree"
    run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(GUEST_PACKAGES.split())}", HOST, tree, source(HOST))
    (folder / "requirements.txt").write_text(requirements())
    python = run("chroot", tree, "/usr/bin/python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
    pip = (sys.executable, "-m", "pip", "install", "-qq", "--no-input", "--disable-pip-version-check", "--require-hashes", "--no-deps")
    run(*pip, "--only-binary=:all:", "--python-version", python, "--target", tree / "opt" / "site", "-r", folder / "requirements.txt")
    shutil.copy(HERE / "init", tree / "init")
    shutil.copy(tree / "var/lib/dpkg/status", folder / "status")
    for name in ("work", "usr/lib/modules"):
        (tree / name).mkdir(exist_ok=True)
    make_disk(folder / "root.img", tree, SPARE, partitioned=True)
    shutil.rmtree(tree)
