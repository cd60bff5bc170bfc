"""Small encrypted values for `core.ports.AppState`, and claims that only one process gets.

Also records the key that everything is encrypted under: a start with another key is refused, or encrypts it again.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, func, insert, literal_column, or_, select, tuple_, update

from core.ports import Clock
from core.storage.database import Database
from core.storage.encryption import KeyChanged, Vault
from core.storage.tables import INSERTS, app_state, jobs, obligations, upsert

_VALID = or_(app_state.c.expires_at.is_(None), app_state.c.expires_at > bindparam("now"))
_ONE = (app_state.c.area == bindparam("a")) & (app_state.c.key == bindparam("k"))
_GET = select(app_state.c.value).where(_ONE, _VALID)
_LOCK = select(app_state.c.value, app_state.c.expires_at).where(_ONE).with_for_update()
_SET = update(app_state).where(_ONE)
_DELETE = delete(app_state).where(_ONE)
_PUT = upsert(app_state, "area", "key")
_FREE = or_(app_state.c.expires_at.is_(None), app_state.c.expires_at <= literal_column("excluded.updated_at"))
_CLAIM = upsert(app_state, "area", "key", where=_FREE)
_KEY = app_state.c.area, app_state.c.key
_PAGE_ROWS = 200


@cache
def _get_all(count: int) -> Select[Any]:
    """Values by areas `a0`… and keys `k0`…, without a list, which only SQLAlchemy could send."""
    a, k = _KEY
    wanted = or_(*((a == bindparam(f"a{n}")) & (k == bindparam(f"k{n}")) for n in range(count)))
    return select(*_KEY, app_state.c.value).where(wanted, _VALID)


class SqlAppState:
    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._db = database
        self._vault = vault
        self._clock = clock

    async def get(self, area: str, key: str) -> Any | None:
        """Return the value; None if there is none (or none that this key decrypts)."""
        row = await self._db.first(_GET, {"a": area, "k": key, "now": self._clock.now()})
        return self._vault.decrypt(row.value) if row is not None else None

    async def get_all(self, wanted: Sequence[tuple[str, str]]) -> Sequence[Any | None]:
        values: dict[str, Any] = {"now": self._clock.now()}
        for n, (area, key) in enumerate(wanted):
            values |= {f"a{n}": area, f"k{n}": key}
        rows = await self._db.all(_get_all(len(wanted)), values)
        found = {(row.area, row.key): self._vault.decrypt(row.value) for row in rows}
        return [found.get(one) for one in wanted]

    async def put(self, area: str, key: str, value: Any, *, ttl_s: float | None = None) -> None:
        await self._db.execute(_PUT[self._db.dialect], {"area": area, "key": key, **self._columns(value, ttl_s)})

    def _columns(self, value: Any, ttl_s: float | None) -> dict[str, Any]:
        now = self._clock.now()
        expires_at = None if ttl_s is None else now + ttl_s
        return {"value": self._vault.encrypt(value), "updated_at": now, "expires_at": expires_at}

    async def change(
        self, area: str, key: str, update: Callable[[Any | None], Any | None], *, ttl_s: float | None = None
    ) -> None:
        def work(connection: Connection) -> bool:
            row = connection.execute(_LOCK, {"a": area, "k": key}).first()
            valid = row is not None and (row.expires_at is None or row.expires_at > self._clock.now())
            value = update(self._vault.decrypt(row.value) if row is not None and valid else None)
            if value is None:
                connection.execute(_DELETE, {"a": area, "k": key})
                return True
            values = self._columns(value, ttl_s)
            if row is not None:
                return connection.execute(_SET, {"a": area, "k": key, **values}).rowcount > 0
            new = INSERTS[self._db.dialect](app_state).values(area=area, key=key, **values)
            return connection.execute(new.on_conflict_do_nothing()).rowcount > 0

        while not await self._db.run_write(work):  # another process has created the row meanwhile
            pass

    async def delete(self, area: str, key: str) -> None:
        await self._db.execute(_DELETE, {"a": area, "k": key})

    async def delete_where(self, is_meant: Callable[[str, str, Any], bool]) -> None:
        query, last = select(*_KEY, app_state.c.value).order_by(*_KEY).limit(_PAGE_ROWS), ("", "")
        while rows := await self._db.rows(query.where(tuple_(*_KEY) > tuple_(*last))):
            for area, key, value in rows:
                if is_meant(area, key, self._vault.decrypt(value)):
                    await self.delete(area, key)
                last = area, key

    async def keys(self, area: str) -> Sequence[str]:
        kept = or_(app_state.c.expires_at.is_(None), app_state.c.expires_at > self._clock.now())
        query = select(app_state.c.key).where(app_state.c.area == area, kept).order_by(app_state.c.key)
        return [row.key for row in await self._db.rows(query)]

    async def claim(self, area: str, key: str, *, ttl_s: float) -> bool:
        row = {"area": area, "key": key, **self._columns(None, ttl_s)}
        return await self._db.execute(_CLAIM[self._db.dialect], row) > 0


_KEY_AREA = "secret_key"
_KEY_IN_USE = select(app_state.c.key).where(app_state.c.area == _KEY_AREA)
_REENCRYPT_ROWS = 500
_KEY_LOCK = 7_313_840_220


async def adopt_key(database: Database, vault: Vault) -> None:
    """Encrypt under the new key what is stored under the old one. Raises KeyChanged if neither fits."""
    async with database.write() as connection:
        if not database.is_sqlite:  # processes that start together on a new database do this one after the other
            await connection.execute(select(func.pg_advisory_xact_lock(_KEY_LOCK)))
        known = await connection.scalar(_KEY_IN_USE) or await connection.run_sync(_guess_key, vault)
        if known not in vault.fingerprints:
            raise KeyChanged
        if known != vault.fingerprints[0]:
            await connection.run_sync(_reencrypt, vault)
        await connection.execute(delete(app_state).where(app_state.c.area == _KEY_AREA))
        row = {"area": _KEY_AREA, "key": vault.fingerprints[0], "value": "", "updated_at": 0.0}
        await connection.execute(insert(app_state).values(**row))


def _guess_key(connection: Connection, vault: Vault) -> str | None:
    """Return the fingerprint of a key that decrypts what is stored, for a database that does not record it."""
    encrypted = list(connection.scalars(select(app_state.c.value).order_by(app_state.c.updated_at.desc()).limit(20)))
    encrypted += connection.scalars(select(jobs.c.secret).order_by(jobs.c.created_at.desc()).limit(20))
    if not encrypted or any(vault.can_decrypt(text) for text in encrypted):
        return vault.fingerprints[-1]  # encrypts again if an old key is set; values under the new key are unaffected
    return None


def _reencrypt(connection: Connection, vault: Vault) -> None:
    for encrypted in (app_state.c.value, obligations.c.data, jobs.c.secret):
        names = list(encrypted.table.primary_key)
        key, query = tuple_(*names), select(*names, encrypted).order_by(*names).limit(_REENCRYPT_ROWS)
        rows = connection.execute(query).all()
        while rows:
            for *one, text in rows:
                if vault.can_decrypt(text):
                    reencrypted = {encrypted.key: vault.reencrypt(text)}
                    connection.execute(update(encrypted.table).where(key == tuple_(*one)).values(reencrypted))
            rows = connection.execute(query.where(key > tuple_(*rows[-1][:-1]))).all()
