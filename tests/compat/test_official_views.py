"""Summary views and their tasks through the official client."""

from typing import Any

import pytest
from agent_memory_client import CreateSummaryViewRequest, MemoryAPIClient, SummaryView, SummaryViewPartitionResult, Task
from agent_memory_client.exceptions import MemoryNotFoundError, MemoryServerError
from agent_memory_client.models import ClientMemoryRecord

from support.controls import wait_until

FACTS = [("the ferry is late", "ana"), ("the ferry is blue", "ana"), ("the mill is closed", "bo")]


@pytest.fixture
async def view(client: MemoryAPIClient, namespace: str) -> SummaryView:
    """What is known of each user, of the memories in this namespace."""
    records = [
        ClientMemoryRecord(id=f"{namespace}-{n}", text=text, user_id=user, memory_type="semantic")
        for n, (text, user) in enumerate(FACTS)
    ]
    await client.create_long_term_memory(records)
    return await client.create_summary_view(
        CreateSummaryViewRequest(
            name="users", source="long_term", group_by=["user_id"], filters={"namespace": namespace}, time_window_days=30
        )
    )


async def finished(client: MemoryAPIClient, task: Task) -> Task:
    """The task when it has come to its end."""
    last = task

    async def done() -> bool:
        nonlocal last
        found = await client.get_task(task.id)
        assert found is not None
        last = found
        return found.status in ("success", "failed")

    await wait_until(done, "the task has come to its end", timeout=60)
    return last


async def test_a_view_is_kept_as_it_was_asked_for(client: MemoryAPIClient, view: SummaryView, namespace: str) -> None:
    found = await client.get_summary_view(view.id)
    listed = await client.list_summary_views()

    assert found == view
    assert view in listed
    assert view.model_dump() == {
        "id": view.id,
        "name": "users",
        "source": "long_term",
        "group_by": ["user_id"],
        "filters": {"namespace": namespace},
        "time_window_days": 30,
        "continuous": False,
        "prompt": None,
        "model_name": None,
    }


async def test_a_deleted_view_is_gone_and_deleting_it_again_is_fine(client: MemoryAPIClient, view: SummaryView) -> None:
    deleted = [await client.delete_summary_view(view.id) for _ in range(2)]

    assert [one.status for one in deleted] == ["ok", "ok"]
    assert await client.get_summary_view(view.id) is None
    assert view.id not in [one.id for one in await client.list_summary_views()]
    with pytest.raises(MemoryNotFoundError):
        await client.list_summary_view_partitions(view.id)
    with pytest.raises(MemoryNotFoundError):
        await client.run_summary_view_partition(view.id, {"user_id": "ana"})
    with pytest.raises(MemoryNotFoundError):
        await client.run_summary_view(view.id)


async def test_a_partition_is_summarised_when_asked_for(client: MemoryAPIClient, view: SummaryView) -> None:
    told = await client.run_summary_view_partition(view.id, {"user_id": "ana"})
    kept = await client.list_summary_view_partitions(view.id)
    of_bo = await client.list_summary_view_partitions(view.id, user_id="bo")

    assert told == SummaryViewPartitionResult(
        view_id=view.id, group={"user_id": "ana"}, summary=told.summary, memory_count=2, computed_at=told.computed_at
    )
    assert ("ferry" in told.summary, "mill" in told.summary) == (True, False)
    assert told.computed_at is not None
    assert (kept, of_bo) == ([told], [])


async def test_a_partition_without_memories_says_so(client: MemoryAPIClient, view: SummaryView) -> None:
    told = await client.run_summary_view_partition(view.id, {"user_id": "cy"})
    assert (told.group, told.memory_count) == ({"user_id": "cy"}, 0)


async def test_all_partitions_are_summarised_by_a_task(client: MemoryAPIClient, view: SummaryView, namespace: str) -> None:
    task = await client.run_summary_view(view.id)
    done = await finished(client, task)
    kept = await client.list_summary_view_partitions(view.id)
    of_bo = await client.list_summary_view_partitions(view.id, user_id="bo")
    elsewhere = await client.list_summary_view_partitions(view.id, namespace="elsewhere", session_id="x", memory_type="message")

    assert (task.status, task.type, task.view_id) == ("pending", "summary_view_full_run", view.id)
    assert (done.status, done.id, done.view_id, done.error_message) == ("success", task.id, view.id, None)
    assert all((done.created_at, done.started_at, done.completed_at))
    assert sorted((one.group["user_id"], one.memory_count) for one in kept) == [("ana", 2), ("bo", 1)]
    assert [(one.group, "mill" in one.summary) for one in of_bo] == [({"user_id": "bo"}, True)]
    assert elsewhere == []


async def test_a_run_may_be_forced_again(client: MemoryAPIClient, view: SummaryView, namespace: str) -> None:
    await finished(client, await client.run_summary_view(view.id))
    await client.create_long_term_memory([ClientMemoryRecord(id=f"{namespace}-more", text="the ferry sank", user_id="ana")])
    again = await finished(client, await client.run_summary_view(view.id, force=True))
    (of_ana,) = await client.list_summary_view_partitions(view.id, user_id="ana")

    assert (again.status, of_ana.memory_count) == ("success", 3)


async def test_a_task_or_view_that_is_not_there_is_none(client: MemoryAPIClient) -> None:
    assert await client.get_task("01HZZZZZZZZZZZZZZZZZZZZZZZ") is None
    assert await client.get_summary_view("01HZZZZZZZZZZZZZZZZZZZZZZZ") is None


@pytest.mark.parametrize(
    ("given", "detail"),
    [
        ({"source": "working_memory"}, "SummaryView.source must be 'long_term' for now; 'working_memory' is not yet supported."),
        ({"group_by": ["color"]}, "Unsupported group_by fields: color"),
        ({"filters": {"color": "red"}}, "Unsupported filter fields: color"),
    ],
)
async def test_a_view_that_cannot_be_is_refused(client: MemoryAPIClient, given: dict[str, Any], detail: str) -> None:
    request = CreateSummaryViewRequest(**{"source": "long_term", "group_by": ["user_id"], **given})
    with pytest.raises(MemoryServerError) as refused:
        await client.create_summary_view(request)
    assert (refused.value.status_code, str(refused.value)) == (400, detail)


async def test_a_group_names_exactly_what_the_view_is_grouped_by(client: MemoryAPIClient, view: SummaryView) -> None:
    with pytest.raises(MemoryServerError, match="must exactly match") as refused:
        await client.run_summary_view_partition(view.id, {"namespace": "x"})
    assert refused.value.status_code == 400
