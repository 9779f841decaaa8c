"""The names of filetap's programs and maps in the kernel, from the compiled objects.

Separate, because a session loads only what it needs: tests/kernel/test_features.py looks at bpftool's output for one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from filetap.kernel.libbpf import library
from filetap.kernel.loader import OBJECTS, Object

MOST: Final = 15
"""BPF_OBJ_NAME_LEN of linux/bpf.h, without the NUL: longer names are truncated."""


@pytest.mark.parametrize("path", sorted(OBJECTS.glob("*.bpf.o")), ids=lambda path: path.name)
def test_names_have_the_prefix(path: Path) -> None:
    loaded = Object(path.name.removesuffix(".bpf.o"))
    try:
        maps = [library().bpf_map__name(handle).decode() for handle in loaded.maps.values()]
        programs = [library().bpf_program__name(handle).decode() for handle in loaded.programs.values()]
    finally:
        loaded.close()
    shown = [name for name in maps if not name.startswith(".rodata.")] + programs  # constants are created in Python
    assert len(shown) > 10
    assert [name for name in shown if not name.startswith("ft_") or len(name) > MOST] == []
