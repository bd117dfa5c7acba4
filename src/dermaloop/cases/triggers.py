"""Triggers by which the database itself refuses to change what is append-only.

Owns their SQL for SQLite and PostgreSQL. Refuses to know the tables. They guard against mistakes, ours and others';
whoever may drop a trigger is found out by the audit chain instead. Used by migrations, so what is here may be added to
but must keep giving a past migration the same triggers.
"""

from __future__ import annotations

from collections.abc import Callable


def protect_append_only(execute: Callable[[str], object], dialect: str, table: str, *, key: str) -> None:
    """Makes a table append-only: every UPDATE, DELETE, REPLACE and TRUNCATE fails.

    Args:
        execute: Runs one statement.
        dialect: `sqlite` or `postgresql`.
        table: Its name.
        key: The column of its primary key.
    """
    refusal = f"{table} is append-only"
    if dialect == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
            )
        execute(  # REPLACE deletes without asking the trigger above where recursive_triggers is off
            f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "  # noqa: S608 - names of our own tables
            f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {key} = NEW.{key}) "
            f"BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
        )
        return
    execute(
        f"CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{refusal}' USING ERRCODE = 'restrict_violation'; END $$"
    )
    execute(
        f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {table}_refuse()"
    )
    execute(
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse()"
    )


def protect_records(execute: Callable[[str], object], dialect: str, table: str) -> None:
    """Makes a table of a patient's entries append-only, but for emptying the rows of a patient who was deleted.

    Args:
        execute: Runs one statement.
        dialect: `sqlite` or `postgresql`.
        table: Its name; it has a column `patient_id`.
    """
    refusal = f"{table} is append-only: a correction is a new entry"
    kept = "(SELECT deleted_at FROM patients WHERE id = OLD.patient_id) IS NULL"
    if dialect == "sqlite":
        execute(
            f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} WHEN {kept} "
            f"BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
        )
        execute(
            f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
        )
        execute(
            f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "  # noqa: S608 - names of our own tables
            f"WHEN EXISTS (SELECT 1 FROM {table} WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
        )
        return
    execute(
        f"CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF TG_OP = 'UPDATE' THEN IF NOT ({kept}) THEN RETURN NEW; END IF; END IF; "
        f"RAISE EXCEPTION '{refusal}' USING ERRCODE = 'restrict_violation'; END $$"
    )
    execute(
        f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {table}_refuse()"
    )
    execute(
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse()"
    )
