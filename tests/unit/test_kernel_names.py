"""The names that the kernel shows of our programs and maps, from the compiled objects.

Apart, because a session loads only what it needs: what bpftool shows of one is in tests/kernel/test_features.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from filetap.kernel.libbpf import library
from filetap.kernel.loader import OBJECTS, Object

MOST: Final = 15
"""BPF_OBJ_NAME_LEN of linux/bpf.h, without the NUL: the rest is cut."""


@pytest.mark.parametrize("path", sorted(OBJECTS.glob("*.bpf.o")), ids=lambda path: path.name)
def test_names_say_whose_they_are(path: Path) -> None:
    loaded = Object(path.name.removesuffix(".bpf.o"))
    try:
        maps = [library().bpf_map__name(handle).decode() for handle in loaded.maps.values()]
        programs = [library().bpf_program__name(handle).decode() for handle in loaded.programs.values()]
    finally:
        loaded.close()
    shown = [name for name in maps if not name.startswith(".rodata.")] + programs  # constants are made in Python
    assert len(shown) > 10
    assert [name for name in shown if not name.startswith("ft_") or len(name) > MOST] == []
