"""Every command, one line each: name, where its function (or Typer app) is, the help that the list shows. Imported when used."""

import msgspec


class CommandSpec(msgspec.Struct, frozen=True):
    """`target` is "module:function" or "module:typer_app"; only the command that was asked for is imported."""

    name: str
    target: str
    help: str
    hidden: bool = False


COMMANDS = (
    CommandSpec("up", "agent_memory.cli.stack:up", "Start Postgres, Redis and every service on this machine."),
    CommandSpec("down", "agent_memory.cli.stack:down", "Stop what `up` started."),
    CommandSpec("status", "agent_memory.cli.stack:status", "Show each process: port, memory, restarts, ready or not."),
    CommandSpec("migrate", "agent_memory.cli.migrate:migrate", "Bring the database of DATABASE_URL to this version's schema."),
    CommandSpec(
        "import", "agent_memory.cli.imports:import_", "Restore a bundle; load JSONL, Claude Code transcripts, ChatGPT exports."
    ),
    CommandSpec(
        "export", "agent_memory.cli.exports:export", "Write everything, or one namespace or user, as a bundle to restore elsewhere."
    ),
    CommandSpec("backup", "agent_memory.cli.backups.commands:backup", "Copy the whole log into one file, of one moment."),
    CommandSpec("restore", "agent_memory.cli.backups.commands:restore", "Put a backup in the place of the log."),
    CommandSpec("demo", "agent_memory.cli.demo:demo", "Start everything, import a sample history, search it, stop again."),
    CommandSpec("search", "agent_memory.cli.search:search", "Search long-term memories."),
    CommandSpec("delete", "agent_memory.cli.delete:app", "Delete long-term memories, or the working memory of a session."),
    CommandSpec("api", "agent_memory.cli.serving:api", "Serve the HTTP and gRPC API: the gateway alone, or with all it needs."),
    CommandSpec("task-worker", "agent_memory.cli.serving:task_worker", "Run the background services."),
    CommandSpec("schedule-task", "agent_memory.cli.schedule_task:schedule_task", "Have a background task done now."),
    CommandSpec("doctor", "agent_memory.cli.doctor:doctor", "Check each invariant on the live system."),
    CommandSpec("rebuild-index", "agent_memory.cli.rebuild_index:rebuild_index", "Build the search indexes anew from the log."),
    CommandSpec("rebuild-toc", "agent_memory.cli.rebuild_toc:rebuild_toc", "Build the table of contents anew from the log."),
    CommandSpec(
        "migrate-memories",
        "agent_memory.cli.old_server.commands:migrate_memories",
        "Bring sessions and memories of a Redis agent memory server here.",
    ),
    CommandSpec(
        "migrate-working-memory",
        "agent_memory.cli.old_server.commands:migrate_working_memory",
        "The same for sessions alone.",
    ),
    CommandSpec("events", "agent_memory.cli.events:app", "See what the log holds."),
    CommandSpec("dead-letters", "agent_memory.cli.dead_letters:app", "Messages that were given up: look, send again, drop."),
    CommandSpec("timeline", "agent_memory.cli.timeline:app", "Print the table of contents as a tree, down to the words; search."),
    CommandSpec("scheduler", "agent_memory.cli.scheduler:app", "Background jobs: how they do, pause, resume, run now."),
    CommandSpec("mcp", "agent_memory.cli.mcp:mcp", "Serve MCP to agents: over stdio, sse or streamable-http."),
    CommandSpec("hooks", "agent_memory.cli.hooks.commands:app", "Record what coding agents do: install hooks, deliver what waits."),
    CommandSpec("token", "agent_memory.cli.tokens:app", "Who may come in: add, list, show, remove tokens."),
    CommandSpec("config", "agent_memory.cli.config:config", "Show every setting, where it comes from, and no secret."),
    CommandSpec("version", "agent_memory.cli.version:version", "Print the version."),
)
