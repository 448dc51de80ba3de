"""Summary views and tasks over HTTP."""

from typing import Any

from litestar import delete, get, post
from litestar.types import ASGIApp
from msgspec.structs import replace

from agent_memory.contracts.codec import encode
from agent_memory.contracts.commands import ChangeTask, CreateSummaryView, DeleteSummaryView
from agent_memory.contracts.errors import Conflict, NotFound, Refused
from agent_memory.contracts.records import Partition, Scope, SummaryView, Task
from agent_memory.gateway.auth_held_views import narrowed_view
from agent_memory.gateway.edges.http import fields, responses
from agent_memory.gateway.edges.http.call import Call, HttpRequest, opened
from agent_memory.gateway.edges.http.requests_views import check_group, partition_group, summary_view, task_id
from agent_memory.gateway.edges.http.responses import Answered
from agent_memory.gateway.edges.http.shapes import PartitionShape
from agent_memory.readmodels.view_filters import GROUP_FIELDS

ROOT = "/v1/summary-views"
ONE = "/v1/summary-views/{view_id:str}"
PREFIX = b"/v1/summary-views/"
TASKS = b"/v1/tasks/"


@post(ROOT, status_code=200)
async def create_view(request: HttpRequest) -> ASGIApp:
    """Define a view. For a bound credential it is about nothing but what that is for."""
    call = await opened(request)
    new_id = call.ids(_owner(call))
    view = narrowed_view(summary_view(await call.body(), call.problems, new_id(0)), call.principal)
    answer = await call.ask(_scope(call), CreateSummaryView(view=view))
    return Answered(encode(view), headers=responses.at(answer.position))


@get(ROOT, status_code=200)
async def list_views(request: HttpRequest) -> ASGIApp:
    """All views, the oldest first."""
    call = await opened(request)
    await call.caught_up()
    return Answered(encode(await call.gateway.views.views(call.principal.tenant)))


@get(ONE, status_code=200)
async def get_view(request: HttpRequest) -> ASGIApp:
    """One view."""
    call = await opened(request)
    await call.caught_up()
    return Answered(encode(await _view(call, b"")))


@delete(ONE, status_code=200)
async def delete_view(request: HttpRequest) -> ASGIApp:
    """Forget a view and its partitions; that there is none is as well."""
    call = await opened(request)
    view_id, position = call.id_in_path(PREFIX, "view_id"), 0
    if await call.gateway.views.view(call.principal.tenant, view_id) is not None:
        position = (await call.ask(_scope(call), DeleteSummaryView(view_id=view_id))).position
    return Answered(b'{"status":"ok"}', headers=responses.at(position))


@post(f"{ONE}/partitions/run", status_code=200)
async def run_partition(request: HttpRequest) -> ASGIApp:
    """Summarise one group now, and wait for it."""
    call = await opened(request)
    group = partition_group(await call.body(), call.problems)
    view = await _view(call, b"/partitions/run")
    check_group(view, group)
    return Answered(encode(_shown(await call.gateway.views.run(call.principal.tenant, view.id, group))))


@get(f"{ONE}/partitions", status_code=200)
async def list_partitions(request: HttpRequest) -> ASGIApp:
    """The partitions of a view that have the values asked for, in order of their groups."""
    call = await opened(request)
    wanted = {field: value for field in GROUP_FIELDS if (value := call.parameters.get(field, fields.name)) is not None}
    call.problems.check()
    await call.caught_up()
    view = await _view(call, b"/partitions")
    found = await call.gateway.views.partitions(call.principal.tenant, view.id)
    return Answered(encode([_shown(one) for one in found if wanted.items() <= one.group.items()]))


@post(f"{ONE}/run", status_code=200)
async def run_view(request: HttpRequest) -> ASGIApp:
    """Have all groups summarised in the background. A task id that was given before is answered with that task."""
    call = await opened(request)
    given = task_id(await call.body(), call.problems)
    view = await _view(call, b"/run")
    task = Task(id=given or call.ids(_owner(call))(1), view_id=view.id, created_at=call.gateway.clock())
    known = await call.gateway.views.task(call.principal.tenant, task.id)
    position = 0
    if known is None:
        known, position = await _begun(call, task)
    if known.view_id != view.id:
        raise Conflict(f"task {task.id} is of another summary view; choose another id")
    return Answered(encode(known), headers=responses.at(position))


async def _begun(call: Call, task: Task) -> tuple[Task, int]:
    """A new task, or the one of this id that somebody else was faster with."""
    try:
        answer = await call.ask(_scope(call), ChangeTask(task=task))
    except Refused as error:
        raise Conflict(f"task {task.id} has been before; choose another id") from error
    if answer.position:
        return task, answer.position
    return await call.gateway.views.task(call.principal.tenant, task.id) or task, 0


@get("/v1/tasks/{task_id:path}", status_code=200)
async def get_task(request: HttpRequest) -> ASGIApp:
    """One task, as it is now."""
    call = await opened(request)
    await call.caught_up()
    asked = call.id_in_path(TASKS, "task_id")
    found = await call.gateway.views.task(call.principal.tenant, asked)
    if found is None:
        raise NotFound(f"Task {asked} not found")
    return Answered(encode(found))


async def _view(call: Call, suffix: bytes) -> SummaryView:
    view_id = call.id_in_path(PREFIX, "view_id", suffix=suffix)
    found = await call.gateway.views.view(call.principal.tenant, view_id)
    if found is None:
        raise NotFound(f"SummaryView {view_id} not found")
    return found


def _scope(call: Call) -> Scope:
    return Scope(tenant=call.principal.tenant)


def _owner(call: Call) -> Scope:
    """Whom ids are made for: the same key of another credential stands for something else."""
    reach = call.principal.reach
    return _scope(call) if reach is None else replace(_scope(call), namespace=encode(reach).decode())


def _shown(partition: Partition) -> PartitionShape:
    return PartitionShape(**{field: getattr(partition, field) for field in PartitionShape.__struct_fields__})


def handlers() -> list[Any]:
    """The routes of summary views and tasks."""
    return [create_view, list_views, get_view, delete_view, run_partition, list_partitions, run_view, get_task]
