"""The commands behind a figure: those that made its runs, and the one that draws it."""

from resgan.report.records import Record

MOST = 12  # commands; a launcher may have started every run by its own


def commands_behind(records: list[Record], report: str) -> str:
    """Return lines for a shell, with comments: the commands of the runs, by time, then the command of the report."""
    sessions = sorted((session for record in records for session in record.sessions), key=lambda s: str(s.get("time")))
    typed = list(dict.fromkeys(str(session["command"]) for session in sessions))
    code = ", ".join(sorted({record.code for record in records}))
    lines = [f"# {len(records)} run{'' if len(records) == 1 else 's'}, at commit {code}"] if typed else []
    lines += typed[:MOST]
    if len(typed) > MOST:
        lines.append(f"# and {len(typed) - MOST} more: provenance.json of each run has its own")
    if report:
        lines += ["# the figures of this page", report]
    return "\n".join(lines)
