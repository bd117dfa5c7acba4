# ruff: noqa: INP001 - Alembic loads these by path; as a package they would run on import
"""Alembic's entry: runs the migrations on the connection that `cases.database.upgrade` hands over.

Owns nothing but that. There is no alembic.ini, and no way to run it without a connection: the program migrates its
own database when it starts.
"""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    transactional_ddl=True,  # both databases can, and a migration must not stop half-way
    render_as_batch=True,  # SQLite changes a table by making it anew
)
with context.begin_transaction():
    context.run_migrations()
