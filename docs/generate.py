"""Write the reference, the man pages and the shell completions from the commands and the columns of SQL: ``make reference``.

tests/unit/test_reference.py compares them with the files in the tree.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from filetap.analysis.columns import EVENTS, MACROS, PENDING
from filetap.cli.main import COMMANDS, GROUPS, cli
from filetap.core import columns
from filetap.recording.format import OWNERS

DOCS: Final = Path(__file__).resolve().parent
SHELLS: Final[dict[str, type[ShellComplete]]] = {"filetap.bash": BashComplete, "_filetap": ZshComplete, "filetap.fish": FishComplete}


def commands() -> Iterator[tuple[str, click.Command, click.Context]]:
    """Name, command and a context in which it writes its help."""
    root = click.Context(cli, info_name="filetap")
    for name in COMMANDS:
        command = cli.get_command(root, name)
        assert command
        yield name, command, click.Context(command, parent=root, info_name=name, terminal_width=100, max_content_width=100)


def options_of(command: click.Command, context: click.Context) -> list[tuple[str, str]]:
    """Return each option with its help."""
    options = [option for option in command.get_params(context) if isinstance(option, click.Option)]
    return [record for option in options if (record := option.get_help_record(context))]


def paragraphs(command: click.Command) -> list[tuple[bool, str]]:
    """Return the description in parts, each with whether its lines are to be kept as they are."""
    parts = re.sub(r"^ {4}", "", command.help or "", flags=re.MULTILINE).strip().split("\n\n")
    return [("\b" in part, part.replace("\b\n", "").strip("\n")) for part in parts]


def usage(command: click.Command, context: click.Context) -> str:
    """Return the line that begins with the command."""
    return " ".join(command.get_usage(context).removeprefix("Usage: ").split())


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def command_page(name: str, command: click.Command, context: click.Context) -> str:
    """Return docs/reference/filetap-NAME.md."""
    text = [f"# filetap {name}", f"    {usage(command, context)}"]
    for kept, part in paragraphs(command):
        text.append("\n".join(f"    {line}" for line in part.splitlines()) if kept else part.replace("*", "\\*"))
    rows = [(f"`{cell(names)}`", cell(words)) for names, words in options_of(command, context)]
    return "\n\n".join([*text, table(("option", "meaning"), rows)]) + "\n"


def columns_page() -> str:
    """Return docs/reference/columns.md."""
    of_events = table(("column", "meaning"), view_rows())
    names = {column.name for column in EVENTS}
    of_pending = table(("column", "meaning"), [(f"`{column.name}`", column.meaning) for column in PENDING if column.name not in names])
    macros = table(("macro", "meaning"), [(f"`{call}`", meaning) for call, (_, meaning) in MACROS.items()])
    registry = [row for column in columns.COLUMNS if column.json or column.view or column.meaning for row in [registry_row(column)]]
    everywhere = table(("column", "table", "type", "unit", "JSON", "SQL view", "heading", "meaning"), registry)
    return (
        f"# Columns\n\nOf the view `events` in `filetap query`, a row for each event:\n\n{of_events}\n\n"
        f"The view `pending` has them too, a row for each call that had not returned, and:\n\n{of_pending}\n\n"
        f"Macros:\n\n{macros}\n\n"
        "All columns, and where each is shown. *table*: of a recording, as in SQL; *view*: it is only in the view. *heading*: of its "
        f"column in printed tables, if it is one that can be added.\n\n{everywhere}\n"
    )


def view_rows() -> list[tuple[str, str]]:
    return [(f"`{column.name}`", column.meaning) for column in EVENTS]


def registry_row(column: columns.Column) -> tuple[str, ...]:
    return (
        f"`{column.name}`",
        next((name for name, owner in OWNERS.items() if owner == column.of), column.of),
        columns.TYPES[column.type].partition(",")[0],
        column.unit,
        f"`{column.json}`" if column.json else "",
        f"`{column.view}`" if column.view else "",
        column.heading,
        column.meaning,
    )


ARROW: Final = {"name": "dictionary", "time": "timestamp", "exact": "string", "list": "list", "numbers": "list", "texts": "list"}
"""How docs/trace-format.md names types; the others are Arrow's own names."""
ELEMENTS: Final = {"list": "binary", "numbers": "uint32", "texts": "string"}


def format_rows(owner: columns.Owner) -> list[tuple[str, str, str]]:
    """Return the rows of a table of recordings for docs/trace-format.md."""
    rows = []
    for column in columns.of(owner):
        kinds = [kind for kind in (ELEMENTS.get(column.type), column.unit) if kind]
        rows.append((column.name, ARROW.get(column.type, column.type), ": ".join([*kinds, column.meaning])))
        rows += [(f"{column.name}_bytes", "binary", "")] * (column.type == "exact")
    return rows


def with_table(text: str, heading: str, made: str) -> str:
    """Return a document with another table below a heading."""
    before, found, after = text.partition(f"\n{heading}\n")
    assert found, heading
    return before + found + re.sub(r"(?:^\|.*\n)+", lambda _: f"{made}\n", after, count=1, flags=re.MULTILINE)


def querying_page() -> str:
    """Return docs/querying.md with the columns of the view."""
    text = (DOCS / "querying.md").read_text(encoding="utf-8")
    return with_table(text, "### The view `events`", table(("column", "meaning"), view_rows()))


def format_page() -> str:
    """Return docs/trace-format.md with the columns of the tables."""
    text = (DOCS / "trace-format.md").read_text(encoding="utf-8")
    for name, owner in OWNERS.items():
        text = text if name == "pending" else with_table(text, f"## {name}", table(("column", "type", ""), format_rows(owner)))
    return text


def index_page() -> str:
    """Return docs/reference/README.md."""
    lines = ["# Reference", "", "Made from the commands and the columns by `make reference`."]
    for title, names in GROUPS.items():
        lines += ["", f"{title}:", "", *(f"- [filetap {name}](filetap-{name}.md): {COMMANDS[name]}" for name in names)]
    return "\n".join([*lines, "", "Columns of SQL: [columns.md](columns.md). Fields of JSON: [events.md](../events.md).", ""])


def roff(text: str) -> str:
    """Escape what roff(7) would take for a request or a special character."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return re.sub(r"^\.", r"\\&.", text, flags=re.MULTILINE)


def man_page(name: str, command: click.Command, context: click.Context) -> str:
    """Return filetap-NAME.1 in the macros of man(7)."""
    lines = [f'.TH FILETAP\\-{name.upper()} 1 "" "filetap" "filetap manual"', ".SH NAME"]
    lines += [f"filetap\\-{name} \\- {roff(COMMANDS[name].rstrip('.'))}", ".SH SYNOPSIS", roff(usage(command, context)), ".SH DESCRIPTION"]
    for kept, part in paragraphs(command):
        lines += [".PP", *([".nf", roff(part), ".fi"] if kept else [roff(part)])]
    lines.append(".SH OPTIONS")
    for names, words in options_of(command, context):
        lines += [".TP", f".B {roff(names)}", roff(words)]
    others = ", ".join(f".BR filetap\\-{other} (1)" for other in COMMANDS if other != name)
    return "\n".join([*lines, ".SH SEE ALSO", *others.replace(", .", " ,\n.").split("\n"), ""])


def main_man_page() -> str:
    """Return filetap.1."""
    lines = ['.TH FILETAP 1 "" "filetap" "filetap manual"', ".SH NAME", "filetap \\- trace file accesses", ".SH SYNOPSIS"]
    lines += ["filetap COMMAND [ARGS]...", ".SH DESCRIPTION", roff((cli.help or "").split("\n\n")[0].strip()), ".SH COMMANDS"]
    for name, words in COMMANDS.items():
        lines += [".TP", f".BR filetap\\-{name} (1)", roff(words)]
    return "\n".join([*lines, ""])


def files() -> dict[Path, str]:
    """Return everything that is generated, by its path below docs/."""
    made = {Path("reference/README.md"): index_page(), Path("reference/columns.md"): columns_page(), Path("man/filetap.1"): main_man_page()}
    made |= {Path("querying.md"): querying_page(), Path("trace-format.md"): format_page()}
    for name, command, context in commands():
        made[Path(f"reference/filetap-{name}.md")] = command_page(name, command, context)
        made[Path(f"man/filetap-{name}.1")] = man_page(name, command, context)
    for file, shell in SHELLS.items():
        completion = shell(cli, {}, "filetap", "_FILETAP_COMPLETE")
        made[Path("completions") / file] = (completion.source_template % completion.source_vars()).strip() + "\n"
    return made


def main() -> None:
    for path, text in files().items():
        (DOCS / path).parent.mkdir(parents=True, exist_ok=True)
        (DOCS / path).write_text(text, encoding="utf-8")
    sys.stdout.write(f"{len(files())} files written below {DOCS}\n")


if __name__ == "__main__":
    main()
