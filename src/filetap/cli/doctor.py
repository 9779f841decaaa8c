"""``filetap doctor``: what can be traced on this machine, and why not the rest.

Separate, as each command has its own file.
"""

from __future__ import annotations

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Report what this kernel can do.

    Lists the requirements and the hook sets. A hook set is the BPF programs that trace one family of operations. For each:
    whether it attaches and how, or why not; what cannot be traced; and what to do. Each way to attach is tested with a
    program that does nothing and is removed at once. Run it as root: for other users it lists only the requirements that
    are not met.

    The exit status is 0 if tracing works here, else 1.

    \b
    Examples:
      filetap doctor
      filetap doctor --json | python3 -m json.tool
    """
    from filetap.capture import features
    from filetap.report import doctor as report

    found = features.examine()
    try:
        click.echo(report.as_json(found) if as_json else report.as_text(found))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise click.ClickException(f"standard output: {error.strerror}") from None
    context.exit(0 if found.tracing else 1)
