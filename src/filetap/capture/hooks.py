"""Attaches the VFS hook set: each hook by the best type that this kernel allows, and reports which and why.

Separate from loader.py, because a type is chosen by what exists and by trials, hook by hook.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from filetap.capture import trials
from filetap.core.errors import KernelError
from filetap.kernel.loader import Link, Object
from filetap.kernel.types import KernelTypes
from filetap.probes.vfs import NEWER, NO_LSM_HOOK, Hook, attach_types

_SAMPLE: Final = "file_open"
"""The hook for trials: every kernel has it."""


@dataclass(slots=True)
class Attached:
    """The result of attaching."""

    links: list[Link] = field(default_factory=list)
    attach_types: dict[str, str] = field(default_factory=dict)
    """Function to attach type."""
    reasons: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """Attach type to reasons for failure, to the functions concerned."""

    def refuse(self, attach_type: str, reason: str, hooks: Sequence[Hook]) -> None:
        for hook in hooks:
            self.reasons.setdefault(attach_type, {}).setdefault(reason, []).append(hook.function)

    def missed(self, wanted: Sequence[Hook]) -> list[Hook]:
        """Return those that did not attach, though this kernel should have them."""
        return [hook for hook in wanted if hook.function not in self.attach_types and hook.function not in NEWER]

    def notes(self, wanted: Sequence[Hook]) -> list[str]:
        """Return which hooks attached by another type than the best, and which not at all; each reason once."""
        return [
            f"hooks attach by {', '.join(sorted(taken))}, not by {attach_type} ({reason}){_which(functions, wanted)}"
            for attach_type, reasons in self.reasons.items()
            for reason, functions in reasons.items()
            if reason != NO_LSM_HOOK and (taken := {self.attach_types[function] for function in functions if function in self.attach_types})
        ] + [f"not seen: {hook.function}, because no hook type attaches to it" for hook in self.missed(wanted)]

    def why(self) -> str:
        """Return why nothing attached."""
        return "; ".join(f"{attach_type}: {', '.join(reasons)}" for attach_type, reasons in self.reasons.items())


def _which(functions: Sequence[str], wanted: Sequence[Hook]) -> str:
    return "" if len(functions) == len(wanted) else f": {', '.join(functions)}"


Load = Callable[[str, Sequence[Hook]], Object]
"""Opens and loads the object with these hooks' programs, set to that attach type."""


def attach(wanted: Sequence[Hook], load: Load, kernel: KernelTypes) -> Attached:
    done = Attached()
    for attach_type in attach_types(kernel.preempts_tracepoints()):
        left = [hook for hook in wanted if hook.function not in done.attach_types]
        if not left:
            break
        fit = _fitting(left, attach_type, kernel, done)
        if fit:
            _attach(fit, attach_type, load, kernel, done)
    return done


def refusals(kernel: KernelTypes) -> str:
    """Return why no hook attaches by any type; "": some type works."""
    refused = {
        attach_type: trials.reason(partial(trials.hook, attach_type, _SAMPLE), kernel)
        for attach_type in attach_types(kernel.preempts_tracepoints())
    }
    return "; ".join(f"{attach_type}: {reason}" for attach_type, reason in refused.items()) if all(refused.values()) else ""


def _fitting(hooks: Sequence[Hook], attach_type: str, kernel: KernelTypes, done: Attached) -> list[Hook]:
    refused = trials.reason(partial(trials.hook, attach_type, _SAMPLE), kernel)
    if refused:
        done.refuse(attach_type, refused, hooks)
        return []
    fit = []
    for hook in hooks:
        incompatibility = hook.incompatibility(attach_type, kernel)
        if incompatibility:
            done.refuse(attach_type, incompatibility, [hook])
        else:
            fit.append(hook)
    return fit


def _attach(hooks: Sequence[Hook], attach_type: str, load: Load, kernel: KernelTypes, done: Attached) -> None:
    """Attach the hooks. If the kernel refuses several, they are tried in parts, so that one refused hook does not exclude the
    others."""
    try:
        loaded = load(attach_type, hooks)
    except KernelError as error:
        if len(hooks) == 1:
            done.refuse(attach_type, str(error), hooks)
        for part in _parts(hooks, kernel):
            _attach(part, attach_type, load, kernel, done)
        return
    for hook in hooks:
        try:
            done.links.append(loaded.attach_hook(hook.program, attach_type, hook.target(attach_type)))
            done.attach_types[hook.function] = attach_type
        except OSError as error:
            done.refuse(attach_type, trials.reason_of(error), [hook])


def _parts(hooks: Sequence[Hook], kernel: KernelTypes) -> list[Sequence[Hook]]:
    """Split the hooks. Before 720e6a435194 (v6.1) a hook that takes a structure is refused: these are split off first; for
    any other reason the hooks are halved. Returns nothing for a single one."""
    given = [hook for hook in hooks if kernel.takes_structure(hook.function)]
    if 0 < len(given) < len(hooks):
        return [[hook for hook in hooks if hook not in given], given]
    middle = len(hooks) // 2
    return [hooks[:middle], hooks[middle:]] if middle else []
