"""Bodies that define and run summary views."""

from collections.abc import Mapping, Sequence

from agent_memory.contracts.errors import Refused
from agent_memory.contracts.records import SummaryView
from agent_memory.gateway.edges.http import fields
from agent_memory.gateway.edges.http.body import decode
from agent_memory.gateway.edges.http.fields import REQUIRED, Spec
from agent_memory.gateway.edges.http.problems import Problems
from agent_memory.readmodels.view_filters import FILTER_FIELDS, GROUP_FIELDS, view_filters

MOST_GROUP_FIELDS = 100

_CREATE: Spec = {
    "name": (fields.nullable(fields.text), None),
    "source": (fields.one_of("long_term", "working_memory"), REQUIRED),
    "group_by": (fields.listing(fields.text, most=MOST_GROUP_FIELDS), []),
    "filters": (fields.json_object, {}),
    "time_window_days": (fields.nullable(fields.between(1, None)), None),
    "continuous": (fields.boolean, False),
    "prompt": (fields.nullable(fields.text), None),
    "model_name": (fields.nullable(fields.name), None),
}
_PARTITION: Spec = {"group": (fields.mapping(fields.name), REQUIRED)}
_RUN: Spec = {"task_id": (fields.nullable(fields.identifier), None)}


def summary_view(body: bytes, problems: Problems, view_id: str) -> SummaryView:
    """The view of a POST /v1/summary-views. Raises InvalidRequest, or Refused for what no view can be about."""
    given = fields.fields(decode(body), ("body",), problems, _CREATE)
    problems.check()
    if given["source"] != "long_term":
        raise Refused("SummaryView.source must be 'long_term' for now; 'working_memory' is not yet supported.")
    _supported("group_by", given["group_by"], GROUP_FIELDS)
    _supported("filter", given["filters"], FILTER_FIELDS)
    for field, value in given["filters"].items():
        try:
            view_filters({field: value})
        except ValueError as error:
            problems.value(("body", "filters", field), str(error), value)
    problems.check()
    # Named twice, a field makes no other groups.
    return SummaryView(id=view_id, **{**given, "group_by": list(dict.fromkeys(given["group_by"]))})


def partition_group(body: bytes, problems: Problems) -> dict[str, str]:
    """The group of a POST …/partitions/run. Raises InvalidRequest."""
    given = fields.fields(decode(body), ("body",), problems, _PARTITION)
    problems.check()
    group: dict[str, str] = given["group"]
    return group


def check_group(view: SummaryView, group: Mapping[str, str]) -> None:
    """Raises Refused for a group that the view does not have."""
    if set(group) != set(view.group_by):
        raise Refused(f"group keys {sorted(group)} must exactly match view.group_by {sorted(view.group_by)}")


def task_id(body: bytes, problems: Problems) -> str | None:
    """The id that the caller gives a run. Raises InvalidRequest."""
    given = fields.fields(decode(body), ("body",), problems, _RUN)
    problems.check()
    found: str | None = given["task_id"]
    return found


def _supported(kind: str, named: Sequence[str] | Mapping[str, object], known: Sequence[str]) -> None:
    if unknown := sorted(set(named) - set(known)):
        raise Refused(f"Unsupported {kind} fields: {', '.join(unknown)}")
