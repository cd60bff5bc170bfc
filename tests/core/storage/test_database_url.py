import errno
import socket
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from core.ports import NotUsable
from core.storage.database import Database
from core.storage.database_url import explain, for_asyncpg, may_pass, parse
from tests.fakes.core import closing

HOSTED = (
    "postgres://u:p%40ss@host:5433/db?sslmode=require&channel_binding=require&connect_timeout=7"
    "&application_name=mine&sslrootcert=/etc/ca.pem&pgbouncer=true"
)


def test_what_hosted_databases_hand_out_reaches_the_driver_in_its_own_words() -> None:
    address = for_asyncpg(HOSTED)
    assert address.timeout_s == 7.0
    assert address.dsn.startswith("postgresql://u:p%40ss@host:5433/db?")
    for kept in ("sslmode=require", "application_name=mine", "sslrootcert="):
        assert kept in address.dsn
    for gone in ("channel_binding", "connect_timeout", "pgbouncer"):
        assert gone not in address.dsn


@pytest.mark.parametrize("timeout", ["", "soon", "-1", "0"])
def test_a_timeout_that_is_no_number_of_seconds_leaves_the_default(timeout: str) -> None:
    assert for_asyncpg(f"postgresql://h/d?connect_timeout={timeout}").timeout_s == 10.0


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://u:p@h/d", "names mysql"),
        ("mongodb+srv://h/d", "names mongodb"),
        ("host=localhost dbname=x", "no database address"),
        ("", "no database address"),
        ("postgresql://u:hidden@h:port/d", "password"),
        ("postgresql://u:hid@den@h/d", "two @ signs"),
        ("postgresql://u:hid@d#e/n@h/d", "cannot be read: write @"),
        ("postgresql://u:hidden@h:99999/d", "between 1 and 65535"),
    ],
)
def test_an_address_that_cannot_work_is_refused_in_a_sentence_without_the_password(url: str, says: str) -> None:
    with pytest.raises(NotUsable, match=says) as caught:
        parse(url)
    assert "hid" not in str(caught.value)


CAUSES = [
    (asyncpg.InvalidPasswordError("x"), "refuses the password"),
    (asyncpg.InvalidCatalogNameError("x"), "no database of the name"),
    (asyncpg.InvalidAuthorizationSpecificationError("no pg_hba.conf entry"), "refuses the user"),
    (asyncpg.InsufficientPrivilegeError("x"), "may not create tables"),
    (socket.gaierror(-2, "Name or service not known"), "unknown"),
    (ConnectionRefusedError(111, "refused"), "Nothing answers"),
    (asyncpg.CannotConnectNowError("the database system is starting up"), "starting or stopping"),
    (TimeoutError(), "in time"),
    (PermissionError(errno.EACCES, "Permission denied"), "another user"),
    (OSError(errno.ENOSPC, "No space left on device"), "disk is full"),
    (Exception("unable to open database file"), "cannot be opened"),
    (Exception("database disk image is malformed"), "damaged"),
    (Exception("database or disk is full"), "disk is full"),
    (Exception("disk I/O error"), "full or failing"),
    (Exception("attempt to write a readonly database"), "cannot be written"),
    (ConnectionError("PostgreSQL server at h rejected SSL upgrade"), "no TLS"),
    (
        asyncpg.ClientConfigurationError("`sslmode` parameter must be one of: disable"),
        "sslmode in DATABASE_URL must be",
    ),
    (asyncpg.ClientConfigurationError("target_session_attrs is expected to be"), "must be any, read-write"),
    (FileNotFoundError(2, "No such file or directory"), "socket, or a certificate file"),
    (KeyError("something new"), "KeyError"),
]


@pytest.mark.parametrize(("cause", "says"), CAUSES, ids=lambda value: str(value)[:30])
def test_each_mistake_with_a_database_has_its_own_sentence(cause: Exception, says: str) -> None:
    assert says in explain(cause)
    if "KeyError" not in says:
        assert says in explain(OperationalError("connect", None, cause))


def test_only_a_database_that_is_away_or_full_is_worth_another_start() -> None:
    passing = [says for cause, says in CAUSES if may_pass(OperationalError("connect", None, cause))]
    assert {"Nothing answers", "starting or stopping", "disk is full", "socket, or a certificate file"} <= set(passing)
    assert not [says for says in passing if "password" in says or "sslmode" in says or "damaged" in says]


async def test_a_postgresql_whose_socket_is_not_there_yet_is_worth_another_start(tmp_path: Path) -> None:
    async with closing(Database.connect(f"postgresql://postgres@/x?host={tmp_path}")) as database:
        with pytest.raises(OperationalError) as caught:
            await database.ping()
    assert may_pass(caught.value)
    assert "The server's socket" in explain(caught.value)


async def test_a_real_postgresql_is_reached_with_libpqs_parameters(postgres_url: str) -> None:
    joint = "&" if "?" in postgres_url else "?"
    url = f"{postgres_url}{joint}sslmode=prefer&channel_binding=prefer&connect_timeout=5&application_name=ours"
    async with closing(Database.connect(url)) as database, database.read() as connection:
        assert (await connection.execute(text("SHOW application_name"))).scalar_one() == "ours"
