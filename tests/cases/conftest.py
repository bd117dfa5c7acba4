"""Databases and stores for the tests of the records: every test that asks for `database` runs on SQLite and PostgreSQL.

The server is the system's, started once and ended with the tests; where there is none, its half says that it was
skipped.
"""

import itertools
import shutil

import pytest
import sqlalchemy as sa

from dermaloop.cases.actor import Actor
from dermaloop.cases.anchor import Anchor
from dermaloop.cases.database import open_database, upgrade
from dermaloop.cases.store import open_images, open_store
from support.people import new_store
from support.postgres import find_binaries, serving
from support.s3 import s3_options, serving_s3

KEY = b"a key that only the tests know.."
_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def postgres():
    """Address of a running PostgreSQL server, with a `{name}` where the database's name goes."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server is installed here (Debian: apt-get install postgresql)")
    with serving(binaries) as address:
        template = open_database(address.format(name="postgres"), KEY)
        with template.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("CREATE DATABASE migrated"))
        template.close()
        migrated = open_database(address.format(name="migrated"), KEY)
        upgrade(migrated)
        migrated.close()
        yield address


@pytest.fixture
def new_postgres(postgres):
    """Makes a fresh database on the server, with all tables unless `empty`; gives its address."""

    def make(*, empty=False):
        name = f"test_{next(_NUMBERS)}"
        admin = sa.create_engine(postgres.format(name="postgres"), isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}" + ("" if empty else " TEMPLATE migrated")))
        admin.dispose()
        return postgres.format(name=name)

    return make


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request, tmp_path):
    """Address of a database with no tables yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'records.sqlite3'}"
    return request.getfixturevalue("new_postgres")(empty=True)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory):
    """A database file with all tables and nothing in them, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "records.sqlite3"
    made = open_database(f"sqlite:///{path}", KEY)
    upgrade(made)
    made.close()
    return path


@pytest.fixture(params=["sqlite", "postgres"])
def database(request, tmp_path):
    """An open database with all tables, once of each kind."""
    if request.param == "sqlite":
        path = shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "records.sqlite3")
        url = f"sqlite:///{path}"
    else:
        url = request.getfixturevalue("new_postgres")()
    opened = open_database(url, KEY, Anchor(tmp_path / "audit.anchor"))
    yield opened
    opened.close()


@pytest.fixture
def actor():
    """A clinician who is signed in."""
    return Actor("account", "11111111-1111-4111-8111-111111111111", "Dr. Ada Example", "127.0.0.1")


@pytest.fixture(scope="session")
def s3():
    """Address of a running S3 server."""
    with serving_s3() as address:
        yield address


@pytest.fixture(scope="session")
def s3_bucket(s3):
    """Name of a bucket, and the options to reach it."""
    options = s3_options(s3)
    pytest.importorskip("s3fs").S3FileSystem(skip_instance_cache=True, **options).mkdir("clinic")
    return "clinic", options


@pytest.fixture
def bucket(s3_bucket):
    """Address of an empty folder in a bucket, and the options to reach it."""
    name, options = s3_bucket
    return f"s3://{name}/{next(_NUMBERS)}", options


@pytest.fixture(params=["folder", "s3"])
def images(request, tmp_path):
    """An empty image store, once of each kind."""
    if request.param == "folder":
        return open_images(tmp_path / "images")
    url, options = request.getfixturevalue("bucket")
    return open_images(url, **options)


@pytest.fixture(params=["embedded", "department"])
def store(request, tmp_path):
    """An open store: SQLite and a folder, or PostgreSQL and S3."""
    folder = tmp_path / "store"
    if request.param == "embedded":
        opened = open_store(folder)
    else:
        url, options = request.getfixturevalue("bucket")
        opened = open_store(folder, database_url=request.getfixturevalue("new_postgres")(), images_url=url, **options)
    yield opened
    opened.close()


@pytest.fixture
def embedded(tmp_path):
    """An open store of the default kind."""
    opened = open_store(tmp_path / "store")
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "postgres"])
def either_store(request, tmp_path):
    """An open store with pictures in a folder: what matters is the database, once of each kind."""
    if request.param == "sqlite":
        yield request.getfixturevalue("quick_store")
        return
    opened = open_store(tmp_path / "store", database_url=request.getfixturevalue("new_postgres")())
    yield opened
    opened.close()


@pytest.fixture
def quick_store(tmp_path):
    """An open store of the default kind, copied from one that is made once."""
    with new_store(tmp_path / "store") as opened:
        yield opened
