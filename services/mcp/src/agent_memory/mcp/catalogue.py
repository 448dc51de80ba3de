"""Every tool, one entry each. The descriptions are written for a model that must choose among them."""

from agent_memory.client.answers import Appended, Forgotten, Memory
from agent_memory.client.toc import SchedulerStatus
from agent_memory.mcp import arguments, handlers, handlers_timeline, results
from agent_memory.mcp.tools import ToolSpec

CONTRACT = (
    ToolSpec(
        name="get_current_datetime",
        handler=handlers.get_current_datetime,
        takes=arguments.Nothing,
        gives=results.Now,
        says="""
            The current date and time in UTC. Call it before you store or search anything that depends on "today",
            "yesterday" or "next week", and write the resolved date into the memory.
        """,
    ),
    ToolSpec(
        name="create_long_term_memories",
        handler=handlers.create_long_term_memories,
        takes=arguments.CreateMemories,
        gives=results.Created,
        needs="write",
        repeatable=False,
        doing="storing memories",
        says="""
            Store facts that should be known in later conversations: preferences, decisions, names, what happened when. One
            fact a memory, understandable on its own ("Ana is allergic to hazelnuts", not "she is allergic to them").
            Several at once are fine. What is stored when this returns is never lost; a search finds it at once. To change
            one use edit_long_term_memory; to put a whole conversation down use append_messages.
        """,
    ),
    ToolSpec(
        name="search_long_term_memory",
        handler=handlers.search_long_term_memory,
        takes=arguments.SearchMemories,
        gives=results.FoundMemories,
        doing="searching memories",
        says="""
            Find stored memories by meaning, by words or by both, best first. Use it before you answer anything about the
            user's preferences, history or people. Give `text` in plain words; narrow with filters such as topics=["food"],
            memory_type="episodic" or created_at={"gte": "2026-01-01T00:00:00Z"}, one by one or as one object `filters`.
            text=null lists by filter. For who said what in which words use search_timeline.
        """,
    ),
    ToolSpec(
        name="memory_prompt",
        handler=handlers.memory_prompt,
        takes=arguments.MemoryPrompt,
        gives=results.PromptMade,
        doing="gathering what is remembered",
        says="""
            Everything worth knowing before answering a question, in one call: the conversation so far (with session_id),
            the long-term memories that fit the question, and the question, as messages for a model. Filters are those of
            search_long_term_memory.
        """,
    ),
    ToolSpec(
        name="set_working_memory",
        handler=handlers.set_working_memory,
        takes=arguments.SetWorkingMemory,
        gives=results.Session,
        needs="write",
        destroys=True,
        doing="storing the session",
        says="""
            Replace the working memory of one conversation: its messages, facts, JSON data, summary. What is left out is
            emptied. To add messages to what is there use append_messages. `memories` become long-term memories as well.
        """,
    ),
    ToolSpec(
        name="get_working_memory",
        handler=handlers.get_working_memory,
        takes=arguments.GetWorkingMemory,
        gives=results.Session,
        says="""
            The working memory of one conversation: messages, summary, facts, JSON data. A session that nobody wrote to
            comes back empty, with unsaved=true.
        """,
    ),
    ToolSpec(
        name="get_long_term_memory",
        handler=handlers.get_long_term_memory,
        takes=arguments.OneMemory,
        gives=Memory,
        says="One stored memory by its id, with all of its fields.",
    ),
    ToolSpec(
        name="edit_long_term_memory",
        handler=handlers.edit_long_term_memory,
        takes=arguments.EditMemory,
        gives=Memory,
        needs="write",
        destroys=True,
        says="""
            Change fields of a stored memory: correct its text, its topics, its date. Only what is given changes; earlier
            versions stay readable with memory_history. Find its id with search_long_term_memory first.
        """,
    ),
    ToolSpec(
        name="delete_long_term_memories",
        handler=handlers.delete_long_term_memories,
        takes=arguments.DeleteMemories,
        gives=results.Ack,
        needs="write",
        destroys=True,
        says="""
            Delete memories by id, for good: what the user wants forgotten, or what is wrong. Ids that do not exist are
            passed over; the answer tells how many were deleted. To let go of what is old use forget.
        """,
    ),
    ToolSpec(
        name="compact_long_term_memories",
        handler=handlers.compact_long_term_memories,
        takes=arguments.Compact,
        gives=results.Ack,
        needs="write",
        destroys=True,
        doing="merging what says the same",
        says="""
            Merge memories of a user that say the same, now, and tell how many remain. It happens in the background by
            itself every few minutes; call it only when somebody asks for it. May take a minute.
        """,
    ),
)
ADDED = (
    ToolSpec(
        name="search_timeline",
        handler=handlers_timeline.search_timeline,
        takes=arguments.SearchTimeline,
        gives=results.FoundEvents,
        doing="searching what was said",
        says="""
            Find what was said or done, in the very words, with time, speaker and session: use it for "when did we talk
            about", "what exactly did she say", or when search_long_term_memory has no answer. Narrow with from and to (ISO
            8601) or one session_id. kinds ["node", "grip"] finds the summaries of browse_timeline and the words behind
            them: use it for "when was this a topic", then go on with browse_timeline or expand_grip by the id that was
            found. Facts that were stored are in search_long_term_memory.
        """,
    ),
    ToolSpec(
        name="browse_timeline",
        handler=handlers_timeline.browse_timeline,
        takes=arguments.BrowseTimeline,
        gives=results.Browsed,
        says="""
            Read the table of contents of everything that was said: without node_id the years; with one, its title, summary
            and bullets, and what stands under it: year, month, week, day, segment. Begin here for "what happened last week"
            or "what have we worked on"; go down where a summary is not enough, and ask expand_grip for the words behind a
            bullet.
        """,
    ),
    ToolSpec(
        name="expand_grip",
        handler=handlers_timeline.expand_grip,
        takes=arguments.ExpandGrip,
        gives=results.Expanded,
        says="""
            The exact words behind a bullet of browse_timeline, and what was said before and after them in the conversation.
            Quote from it instead of from a summary.
        """,
    ),
    ToolSpec(
        name="record_event",
        handler=handlers_timeline.record_event,
        takes=arguments.RecordEvent,
        gives=results.Recorded,
        needs="write",
        repeatable=False,
        says="""
            Record one thing that was said or done, as it happened: a message, a tool's result, the start or end of a
            session. It becomes part of the timeline for good. For messages of a conversation you take part in use
            append_messages.
        """,
    ),
    ToolSpec(
        name="append_messages",
        handler=handlers_timeline.append_messages,
        takes=arguments.AppendMessages,
        gives=Appended,
        needs="write",
        repeatable=False,
        says="""
            Add messages to the end of a conversation, which is made when it is not there. What was said before stays; a
            message that was added before, by its id, is passed over. They stand in the working memory and on the timeline.
        """,
    ),
    ToolSpec(
        name="memory_history",
        handler=handlers_timeline.memory_history,
        takes=arguments.OneMemory,
        gives=results.History,
        says="""
            Everything that happened to one memory, the oldest first: when it was stored, changed, merged, forgotten, by
            which command, and how it was after each step. For "since when do we know that" or "what did it say before".
        """,
    ),
    ToolSpec(
        name="forget",
        handler=handlers_timeline.forget,
        takes=arguments.Forget,
        gives=Forgotten,
        needs="write",
        destroys=True,
        doing="looking through memories",
        says="""
            Let go of memories that are old or of no use, by a policy. dry_run is true unless you say otherwise: then it
            only tells which would go. Show that to the user before you say dry_run=false, which cannot be taken back. To
            delete certain memories use delete_long_term_memories.
        """,
    ),
    ToolSpec(
        name="scheduler_status",
        handler=handlers_timeline.scheduler_status,
        takes=arguments.Nothing,
        gives=SchedulerStatus,
        says="""
            Whether background jobs run (summaries, merging, forgetting), when each ran last and how it ended. For "why is
            there no summary yet".
        """,
    ),
)
TOOLS = (*CONTRACT, *ADDED)
