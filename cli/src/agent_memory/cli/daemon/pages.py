"""What `memory-daemon` prints, in the shapes that its users know. Pure."""

from collections.abc import Sequence

from agent_memory.client.toc import (
    BrowseTocResult,
    Event,
    ExpandGripResult,
    GetEventsResult,
    JobResult,
    JobStatus,
    SchedulerStatus,
    TocNode,
)
from agent_memory.contracts.records import to_datetime
from agent_memory.readmodels.calendar import period

LONGEST_LINE = 200
_DAY = 86_400


def roots(nodes: Sequence[TocNode]) -> list[str]:
    """The years."""
    return ["TOC Root Nodes:", *(f'  - {node.node_id} "{node.title}" ({_children(node)})' for node in nodes)]


def one_node(node: TocNode) -> list[str]:
    """A node with all that is known of it."""
    lines = [f"Node: {node.node_id}", f"  Title: {node.title}", f"  Level: {node.level.title()}"]
    lines += [f"  Summary: {_flat(node.summary)}"] if node.summary else []
    for bullet in node.bullets:
        grips = f" [{', '.join(bullet.grip_ids)}]" if bullet.grip_ids else ""
        lines += [*(["  Bullets:"] if bullet is node.bullets[0] else []), f"    - {_flat(bullet.text)}{grips}"]
    lines += [f"  Keywords: {', '.join(node.keywords)}"] if node.keywords else []
    lines += [f"  Children: {len(node.child_node_ids)}"]
    return [*lines, f"  Time Range: {' to '.join(_days(node))}", f"  Version: {node.version}"]


def children(parent_id: str, page: BrowseTocResult, *, limit: int, token: str | None, total: int) -> list[str]:
    """A page of children. The tokens of this service count the children before the page; of others the page has no number."""
    before = int(token) if token and token.isdecimal() else 0
    lines = [f"Children of {parent_id}:"]
    lines += [f'  {number}. {child.node_id} "{child.title}"' for number, child in enumerate(page.children, before + 1)]
    number = before // limit + 1
    place = f"Page {number} of {max(number, -(-total // limit))}" if not token or token.isdecimal() else "Page"
    following = f', next_token: "{page.continuation_token}"' if page.continuation_token else ""
    return [*lines, "", f"{place} (has_more: {_word(page.has_more)}{following})"]


def events(from_ms: int, to_ms: int, page: GetEventsResult) -> list[str]:
    """Events with the beginning of what was said."""
    lines = [f"Events ({from_ms} - {to_ms}):"]
    for number, event in enumerate(page.events, 1):
        lines.append(f"  {number}. {event.event_id} {_role(event)} {moment(event.timestamp_ms)}")
        lines.append(f'     "{_short(event.text)}"')
    return [*lines, "", f"Total: {len(page.events)} events (has_more: {_word(page.has_more)})"]


def expansion(grip_id: str, found: ExpandGripResult) -> list[str]:
    """The words of a grip, and what was said around them."""
    grip = found.grip
    head = [f"Grip: {grip_id}"]
    if grip:
        head += [f'  Excerpt: "{_flat(grip.excerpt)}"', f"  Source: {grip.source}", f"  Time: {moment(grip.timestamp_ms)}"]
    lines = [*head, "", "Context:"]
    parts = (("BEFORE", found.events_before), ("EXCERPT", found.excerpt_events), ("AFTER", found.events_after))
    for name, said in parts:
        lines += [
            *([""] if name != "BEFORE" else []),
            f"  --- {name} ---",
            *(f"  {_role(one)} {_indented(one.text)}" for one in said),
        ]
    return lines


def scheduler(status: SchedulerStatus) -> list[str]:
    """Every job: when it runs and how it went."""
    lines = [f"Scheduler: {'Running' if status.scheduler_running else 'Stopped'}", "", "Jobs:"]
    for number, job in enumerate(status.jobs):
        lines += [*([""] if number else []), f"  {job.job_name}", *(f"    {line}" for line in _job(job))]
    return lines


def uptime(seconds: float) -> str:
    """2h 15m 30s."""
    whole = max(0, int(seconds))
    parts = ((whole // _DAY, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s"))
    first = next((place for place, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count}{unit}" for count, unit in parts[first:])


def size(count: int) -> str:
    """Bytes as people say them: 45.2 MB."""
    for unit, worth in (("GB", 1_073_741_824), ("MB", 1_048_576), ("KB", 1_024)):
        if count >= worth:
            return f"{count / worth:.1f} {unit}"
    return f"{count} B"


def moment(timestamp_ms: int) -> str:
    """A time in UTC."""
    return to_datetime(timestamp_ms).strftime("%Y-%m-%d %H:%M:%S")


def day(timestamp_ms: int) -> str:
    """A date in UTC."""
    return to_datetime(timestamp_ms).strftime("%Y-%m-%d")


def in_words(expression: str) -> str:
    """What a six-field cron expression means, where that is simple; else nothing."""
    fields = expression.split()
    if len(fields) != 6 or fields[0] != "0" or fields[3:5] != ["*", "*"]:
        return ""
    minute, hour, weekday = fields[1], fields[2], fields[5]
    if weekday != "*":
        return ""
    if hour == "*":
        return _within_the_hour(minute)
    if minute == "0" and hour.startswith("*/") and hour[2:].isdecimal():
        return f"every {hour[2:]} hours" if hour != "*/1" else "hourly"
    return f"daily at {int(hour):02}:{int(minute):02}" if hour.isdecimal() and minute.isdecimal() else ""


def _within_the_hour(minute: str) -> str:
    if minute == "*":
        return "every minute"
    if minute.startswith("*/") and minute[2:].isdecimal():
        return f"every {minute[2:]} min"
    if minute.isdecimal():
        return "hourly" if minute == "0" else f"hourly at :{int(minute):02}"
    return ""


def _job(job: JobStatus) -> list[str]:
    about = [part for part in (in_words(job.cron_expr), job.time_zone if job.time_zone != "UTC" else "") if part]
    lines = [f"Schedule: {job.cron_expr}" + (f" ({', '.join(about)})" if about else "")]
    lines.append(f"Status: {'RUNNING' if job.is_running else 'Paused' if job.is_paused else 'Active'}")
    result = "" if job.last_result is JobResult.UNSPECIFIED else f", {job.last_result.upper()}"
    took = f"{job.last_duration_ms / 1000:g}s"
    lines.append(f"Last Run: {moment(job.last_run_ms)} ({took}{result})" if job.last_run_ms else "Last Run: never")
    lines += [f"Last Error: {_flat(job.last_error)}"] if job.last_error else []
    lines.append(f"Next Run: {moment(job.next_run_ms) if job.next_run_ms else 'never'}")
    lines.append(f"Stats: {job.run_count} runs, {job.error_count} errors")
    return lines


def _days(node: TocNode) -> tuple[str, str]:
    """First and last day. Of a year, month, week or day its name says them: they begin when the server's time zone has midnight."""
    named = period(node.node_id)
    return (day(named.start_ms), day(named.end_ms)) if named else (day(node.start_time_ms), day(node.end_time_ms))


def _children(node: TocNode) -> str:
    count = len(node.child_node_ids)
    return f"{count} {'child' if count == 1 else 'children'}"


def _role(event: Event) -> str:
    return f"[{event.role.upper()}]"


def _word(value: bool) -> str:
    return "true" if value else "false"


def _flat(text: str) -> str:
    return " ".join(text.split())


def _short(text: str) -> str:
    flat = _flat(text)
    return flat if len(flat) <= LONGEST_LINE else flat[: LONGEST_LINE - 3] + "..."


def _indented(text: str) -> str:
    return text.replace("\n", "\n    ")
