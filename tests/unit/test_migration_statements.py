"""No step of the schema locks a table in use for long, or takes away what an older program needs without saying so.

Squawk reads the statements as they would run. What a step does to a table that it has made itself harms nobody, and is let pass.
"""

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import Script, ScriptDirectory

import agent_memory.migrations
from agent_memory.migrations import revisions, sql_of

TASTE = ("prefer-bigint-over-int", "prefer-text-field", "require-statement-timeout")
SET_BY_WHO_RUNS_THEM = ("require-lock-timeout",)
TAKES_AWAY = frozenset({"ban-drop-column", "ban-drop-table", "renaming-column", "renaming-table", "adding-required-field"})
"""What an older program does not survive: allowed to a step that says with `oldest` that none of those can run any more."""
OLDEST_POSTGRES = "14.0"
CONCURRENTLY = "COMMIT; CREATE INDEX CONCURRENTLY IF NOT EXISTS more ON events (type); BEGIN;"


def found(sql: Mapping[str, str], folder: Path) -> dict[str, set[str]]:
    """The rules that each of some texts breaks, by its name."""
    for name, text in sql.items():
        (folder / f"{name}.sql").write_text(text)
    ignored = [f"--exclude={rule}" for rule in (*TASTE, *SET_BY_WHO_RUNS_THEM)]
    squawk = [str(Path(sys.executable).with_name("squawk")), "--reporter=json", f"--pg-version={OLDEST_POSTGRES}", *ignored]
    said = subprocess.run(
        [*squawk, *sorted(f"{name}.sql" for name in sql)], cwd=folder, capture_output=True, text=True, check=False
    )
    rules: dict[str, set[str]] = defaultdict(set)
    for fault in json.loads(said.stdout):
        rules[fault["file"].removesuffix(".sql")].add(fault["rule_name"])
    return rules


def steps() -> dict[str, Script]:
    config = Config()
    config.set_main_option("script_location", str(Path(agent_memory.migrations.__file__).parent))
    return {step.revision: step for step in ScriptDirectory.from_config(config).walk_revisions()}


def test_the_steps_keep_nobody_waiting_and_say_whom_they_leave_behind(tmp_path: Path) -> None:
    known = steps()
    broken = found({revision: sql_of(revision) for revision in revisions()}, tmp_path)
    for revision, step in sorted(known.items()):
        before = known[str(step.down_revision)].module.oldest if step.down_revision else ""
        assert before <= step.module.oldest <= revision, (
            f"{revision} does not say, by `oldest`, from which schema on programs work with it"
        )
        left_behind = step.module.oldest > before
        assert broken[revision] <= (TAKES_AWAY if left_behind else frozenset()), f"{revision} is not for a table in use"


HARMFUL = {
    "an index that keeps writers waiting": ("CREATE INDEX more ON events (type);", "require-concurrent-index-creation"),
    "a default that rewrites the table": (
        "ALTER TABLE events ADD COLUMN more uuid DEFAULT gen_random_uuid();",
        "adding-field-with-default",
    ),
    "a column that must be there and is not looked for first": (
        "ALTER TABLE events ALTER COLUMN scope SET NOT NULL;",
        "adding-not-nullable-field",
    ),
    "a type that rewrites the table": ("ALTER TABLE events ALTER COLUMN version TYPE bigint;", "changing-column-type"),
    "a reference that is checked at once": (
        "ALTER TABLE events ADD CONSTRAINT more FOREIGN KEY (stream) REFERENCES sessions (stream);",
        "adding-foreign-key-constraint",
    ),
    "a condition that is checked at once": (
        "ALTER TABLE events ADD CONSTRAINT more CHECK (version > 0);",
        "constraint-missing-not-valid",
    ),
    "a unique constraint that makes its index": (
        "ALTER TABLE events ADD CONSTRAINT more UNIQUE (tenant, position);",
        "disallowed-unique-constraint",
    ),
    "a column that an older program reads": ("ALTER TABLE events DROP COLUMN scope;", "ban-drop-column"),
    "a name that an older program reads": ("ALTER TABLE events RENAME COLUMN scope TO whose;", "renaming-column"),
}
HARMLESS = {
    "a table of its own": "CREATE TABLE more (a bigint NOT NULL, b text); CREATE INDEX more_by_b ON more (b);",
    "a column that may be empty": "ALTER TABLE events ADD COLUMN more text;",
    "a default that is the same for all": "ALTER TABLE events ADD COLUMN more bigint DEFAULT 0;",
    "an index that is made beside those who write": CONCURRENTLY,
    "a condition that is checked later": "ALTER TABLE events ADD CONSTRAINT more CHECK (version > 0) NOT VALID;",
}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    texts = {name: text for name, (text, _) in HARMFUL.items()} | HARMLESS
    return found({name: f"BEGIN; {text} COMMIT;" for name, text in texts.items()}, tmp_path_factory.mktemp("steps"))


@pytest.mark.parametrize("name", HARMFUL)
def test_what_would_keep_others_waiting_or_break_them_is_found(judged: dict[str, set[str]], name: str) -> None:
    assert HARMFUL[name][1] in judged[name]


@pytest.mark.parametrize("name", HARMLESS)
def test_what_others_do_not_notice_is_let_pass(judged: dict[str, set[str]], name: str) -> None:
    assert judged[name] == set()
