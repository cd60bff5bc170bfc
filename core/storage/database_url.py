"""Parse `DATABASE_URL` as operators paste it, and explain each mistake in one sentence.

Providers of PostgreSQL hand out addresses such as `postgres://u:p@host/db?sslmode=require&channel_binding=require`.
asyncpg knows only some of libpq's parameters, and none of other tools'.
"""

import errno
import socket
from dataclasses import dataclass

import asyncpg
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from core.ports import NotUsable

_POSTGRES = {"postgresql", "postgres"}
_OTHER_TOOLS = {"pgbouncer", "schema", "connection_limit", "pool_timeout", "sslaccept", "statement_cache_size"}
"""Parameters of other clients (such as Prisma) that libpq does not know; they are ignored."""

_LIBPQ_ONLY = {
    "channel_binding", "client_encoding", "connect_timeout", "fallback_application_name", "gssencmode", "hostaddr",
    "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval", "load_balance_hosts", "requirepeer",
    "sslcompression", "sslnegotiation", "sslsni", "tcp_user_timeout",
}  # fmt: skip
"""asyncpg would send these to the server as settings, which refuses them (PostgreSQL 17 manual, 32.1.2)."""

_UNESCAPED = "DATABASE_URL cannot be read: write @ : / ? # % in the password as %40 %3A %2F %3F %23 %25."

DEFAULT_CONNECT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class AsyncpgAddress:
    dsn: str
    timeout_s: float


def parse(url: str) -> URL:
    """Parse and check the address; `postgres` becomes `postgresql`. Raises NotUsable."""
    try:
        parsed = make_url(url)
    except ValueError:  # the port is not a number: nearly always an unescaped character in the password
        raise NotUsable(_UNESCAPED) from None
    except ArgumentError:
        raise NotUsable(
            "DATABASE_URL is no database address; it looks like postgresql://user:password@host/database."
        ) from None
    kind = parsed.drivername.split("+", 1)[0]
    if kind == "sqlite":
        return parsed
    if kind not in _POSTGRES:
        raise NotUsable(f"DATABASE_URL names {kind}; only postgresql:// and sqlite:/// work here.")
    if parsed.host and "@" in parsed.host:
        raise NotUsable("DATABASE_URL has two @ signs: write one that belongs to the password as %40.")
    if "@" in (parsed.database or ""):  # an unescaped slash of the password ended the host
        raise NotUsable(_UNESCAPED)
    if not 0 < (parsed.port or 5432) < 65536:
        raise NotUsable("The port in DATABASE_URL must be between 1 and 65535; PostgreSQL's own is 5432.")
    return parsed.set(drivername="postgresql")


def for_asyncpg(url: str) -> AsyncpgAddress:
    """Keep `sslmode`, `sslrootcert` and `application_name`; `connect_timeout` becomes the timeout."""
    parsed = parse(url)
    left = parsed.difference_update_query(_LIBPQ_ONLY | _OTHER_TOOLS)
    return AsyncpgAddress(left.render_as_string(hide_password=False), _timeout_s(parsed.query.get("connect_timeout")))


def _timeout_s(value: object) -> float:
    try:
        timeout_s = float(value) if isinstance(value, str) else 0.0
    except ValueError:
        timeout_s = 0.0
    return timeout_s if timeout_s > 0 else DEFAULT_CONNECT_TIMEOUT_S


def explain(error: BaseException) -> str:
    """Say in one sentence why the database cannot be used and what to do, without password or address."""
    return next((found for cause in _causes(error) if (found := _sentence(cause))), None) or (
        f"The database cannot be used ({type(error).__name__}); check DATABASE_URL."
    )


def may_pass(error: BaseException) -> bool:
    """Whether a later start may succeed with the same settings: the server is only away, or the disk full."""
    return any(isinstance(cause, _PASSING) for cause in _causes(error)) or explain(error) == _FULL


def _causes(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and len(chain) < 10:
        chain.append(current)
        current = getattr(current, "orig", None) or current.__cause__ or current.__context__
    return chain[::-1]


_FULL = "The disk is full: make room where DATA_DIR lies."
_PASSING = (
    ConnectionError, FileNotFoundError, TimeoutError, socket.gaierror, asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
)  # fmt: skip

_BY_KIND: tuple[tuple[type[BaseException], str], ...] = (
    (asyncpg.InvalidPasswordError, "The database refuses the password in DATABASE_URL."),
    (asyncpg.InvalidCatalogNameError, "The database server has no database of the name in DATABASE_URL; create it."),
    (asyncpg.InvalidAuthorizationSpecificationError, "The database refuses the user in DATABASE_URL."),
    (asyncpg.InsufficientPrivilegeError, "The user in DATABASE_URL may not create tables; GRANT CREATE ON SCHEMA."),
    (asyncpg.TooManyConnectionsError, "The database has no connection free; raise max_connections or run fewer bots."),
    (asyncpg.CannotConnectNowError, "The database is starting or stopping; try again in a minute."),
    (socket.gaierror, "The host in DATABASE_URL is unknown; check its spelling and the network."),
    (ConnectionRefusedError, "Nothing answers at the host and port in DATABASE_URL; is the server running?"),
    (
        FileNotFoundError,
        "The server's socket, or a certificate file that DATABASE_URL names, is not there; is the server running?",
    ),
    (PermissionError, "A file of the database belongs to another user; run this as that user."),
    (TimeoutError, "The database did not answer in time; check host, port and firewall of DATABASE_URL."),
)

_BY_TEXT: tuple[tuple[str, str], ...] = (
    ("no space left", _FULL),
    ("disk is full", _FULL),
    ("disk i/o error", "The disk is full or failing: make room where DATA_DIR lies, or look at the disk."),
    (
        "`sslmode` parameter",
        "sslmode in DATABASE_URL must be disable, allow, prefer, require, verify-ca or verify-full.",
    ),
    (
        "target_session_attrs",
        "target_session_attrs in DATABASE_URL must be any, read-write, read-only, primary, standby or prefer-standby.",
    ),
    ("rejected ssl", "The database offers no TLS, but DATABASE_URL asks for it with sslmode."),
    ("certificate verify failed", "The database's TLS certificate is not trusted; name its authority by sslrootcert."),
    ("no pg_hba.conf entry", "The database lets this machine or user in only with TLS; try sslmode=require."),
    ("unable to open database file", "The database's file cannot be opened; check DATA_DIR and its permissions."),
    ("database is locked", "Another program holds the database's file locked; stop it and try again."),
    ("malformed", "The database's file is damaged; restore it from a backup."),
    ("file is not a database", "The database's file is not a database; restore it from a backup."),
    ("readonly database", "The database's file cannot be written to; check its permissions."),
)


def _sentence(error: BaseException) -> str | None:
    if isinstance(error, NotUsable):
        return str(error)
    for kind, sentence in _BY_KIND:
        if isinstance(error, kind):
            return sentence
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _FULL
    text = str(error).lower()
    return next((sentence for part, sentence in _BY_TEXT if part in text), None)
