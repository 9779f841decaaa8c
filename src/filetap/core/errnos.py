"""Names of errors as the kernel has them, including those that no program sees.

Separate, because code that calls bpf(2) names errors in the same way as events.
"""

from __future__ import annotations

import errno
from typing import Final

_RENAMED: Final = {11: "EAGAIN", 35: "EDEADLK", 95: "EOPNOTSUPP", 133: "EHWPOISON"}
"""include/uapi/asm-generic: numbers with a second name in the C library, which Python may use; and one that Python lacks."""

_INTERNAL: Final = {
    512: "ERESTARTSYS",
    513: "ERESTARTNOINTR",
    514: "ERESTARTNOHAND",
    515: "ENOIOCTLCMD",
    516: "ERESTART_RESTARTBLOCK",
    517: "EPROBE_DEFER",
    518: "EOPENSTALE",
    519: "ENOPARAM",
    521: "EBADHANDLE",
    522: "ENOTSYNC",
    523: "EBADCOOKIE",
    524: "ENOTSUPP",
    525: "ETOOSMALL",
    526: "ESERVERFAULT",
    527: "EBADTYPE",
    528: "EJUKEBOX",
    529: "EIOCBQUEUED",
    530: "ERECALLCONFLICT",
    531: "ENOGRACE",
}
"""include/linux/errno.h: not for user space, but a tracer sees them, most of all when a signal interrupts a call."""

ERRORS: Final[dict[int, str]] = {**errno.errorcode, **_RENAMED, **_INTERNAL}
"""By number."""


def name_of(number: int) -> str:
    """Return ``ENOENT`` for 2. A number without a name stays a number."""
    return ERRORS.get(number, str(number))
