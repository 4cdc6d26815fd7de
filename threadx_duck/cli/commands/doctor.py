"""``threadx doctor`` examines the store, the disk and the connection to the exchange."""

from __future__ import annotations

import click

from threadx_duck.cli.context import App, ExitCode, json_option, pass_app
from threadx_duck.cli.output import print_json, print_text
from threadx_duck.texts.visible import visible
from threadx_duck.upkeep.doctor import examine

_PROBLEM = "PROBLEM"
_MARKS = {"ok": "ok     ", "note": "note   ", "problem": _PROBLEM}


@click.command()
@json_option
@pass_app
def doctor(app: App, *, as_json: bool) -> None:
    """Examine the store, the disk and the way to the exchange; change nothing.

    Exits with 3 if there is a problem. Each line says what was found and, after the arrow, what helps.

    \b
    Example:
      threadx doctor
    """
    findings = []
    for finding in examine(app.settings):
        findings.append(finding)
        if not as_json:
            alarm = _PROBLEM if finding.state == "problem" else ""
            print_text(f"{_MARKS[finding.state]} {finding.topic}: {visible(finding.text)}", indent=8, alarm=alarm)
            if finding.advice:
                print_text(f"        -> {visible(finding.advice)}", indent=11)
    problems = sum(finding.state == "problem" for finding in findings)
    if as_json:
        fields = ("topic", "state", "text", "advice")
        print_json({"findings": [{name: getattr(f, name) for name in fields} for f in findings], "problems": problems})
    if problems:
        app.end(ExitCode.FOUND)
