"""``filetap doctor``: what can be traced on this machine, and why not the rest.

Apart, as each command has a file of its own.
"""

from __future__ import annotations

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Say what this kernel can do.

    For each hook set (the programs that see one family of operations): which way it attaches or why not, what is
    therefore not seen, and what to do about it. Each way is really tried, with a program that does nothing and is gone
    at once. Run it as root: other users are told only which requirements are not met.

    The exit status is 0 when tracing works here, 1 when it does not.

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
