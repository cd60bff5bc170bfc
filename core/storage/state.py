"""Small durable values behind `core.ports.AppState`, sealed by the vault; and turns that only one process takes.

Also which key everything is sealed under: a start with another one is refused, or seals everything anew.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, literal_column, or_, select, tuple_, update

from core.ports import Clock
from core.storage.database import Database
from core.storage.encryption import KeyChanged, Vault
from core.storage.tables import INSERTS, app_state, jobs, obligations, upsert

_VALID = or_(app_state.c.expires_at.is_(None), app_state.c.expires_at > bindparam("now"))
_ONE = (app_state.c.area == bindparam("a")) & (app_state.c.key == bindparam("k"))
_GET = select(app_state.c.value).where(_ONE, _VALID)
_LOCK = select(app_state.c.value, app_state.c.expires_at).where(_ONE).with_for_update()
_SET = update(app_state).where(_ONE)
_FORGET = delete(app_state).where(_ONE)
_PUT = upsert(app_state, "area", "key")
_FREE = or_(app_state.c.expires_at.is_(None), app_state.c.expires_at <= literal_column("excluded.updated_at"))
_CLAIM = upsert(app_state, "area", "key", where=_FREE)
_PLACE = app_state.c.area, app_state.c.key
_GET_ALL = select(*_PLACE, app_state.c.value).where(tuple_(*_PLACE).in_(bindparam("wanted", expanding=True)), _VALID)


class SqlAppState:
    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._db = database
        self._vault = vault
        self._clock = clock

    async def get(self, area: str, key: str) -> Any | None:
        """The value, or None where absent (or sealed under another key)."""
        wanted = {"a": area, "k": key, "now": self._clock.now()}
        sealed = await self._db.look(lambda connection: connection.execute(_GET, wanted).scalar())
        return self._vault.unseal(sealed) if sealed is not None else None

    async def get_all(self, wanted: Sequence[tuple[str, str]]) -> Sequence[Any | None]:
        values = {"wanted": list(wanted), "now": self._clock.now()}
        rows = await self._db.look(lambda connection: connection.execute(_GET_ALL, values).all())
        found = {(row.area, row.key): self._vault.unseal(row.value) for row in rows}
        return [found.get(one) for one in wanted]

    async def put(self, area: str, key: str, value: Any, *, ttl_s: float | None = None) -> None:
        now = self._clock.now()
        expires_at = None if ttl_s is None else now + ttl_s
        row = {"area": area, "key": key, "value": self._vault.seal(value), "updated_at": now, "expires_at": expires_at}
        await self._db.once(lambda connection: connection.execute(_PUT[connection.dialect.name], row).rowcount)

    async def change(
        self, area: str, key: str, update: Callable[[Any | None], Any | None], *, ttl_s: float | None = None
    ) -> None:
        def work(connection: Connection) -> bool:
            now = self._clock.now()
            row = connection.execute(_LOCK, {"a": area, "k": key}).first()
            valid = row is not None and (row.expires_at is None or row.expires_at > now)
            value = update(self._vault.unseal(row.value) if row is not None and valid else None)
            if value is None:
                connection.execute(_FORGET, {"a": area, "k": key})
                return True
            expires_at = None if ttl_s is None else now + ttl_s
            values = {"value": self._vault.seal(value), "updated_at": now, "expires_at": expires_at}
            if row is not None:
                return connection.execute(_SET, {"a": area, "k": key, **values}).rowcount > 0
            new = INSERTS[connection.dialect.name](app_state).values(area=area, key=key, **values)
            return connection.execute(new.on_conflict_do_nothing()).rowcount > 0

        while not await self._db.change(work):  # another process has made the row since it was looked for
            pass

    async def delete(self, area: str, key: str) -> None:
        await self._db.once(lambda connection: connection.execute(_FORGET, {"a": area, "k": key}).rowcount)

    async def keys(self, area: str) -> Sequence[str]:
        kept = or_(app_state.c.expires_at.is_(None), app_state.c.expires_at > self._clock.now())
        query = select(app_state.c.key).where(app_state.c.area == area, kept).order_by(app_state.c.key)
        return [row.key for row in await self._db.rows(query)]

    async def claim(self, area: str, key: str, *, ttl_s: float) -> bool:
        now = self._clock.now()
        row = {"area": area, "key": key, "value": self._vault.seal(None), "updated_at": now, "expires_at": now + ttl_s}
        return await self._db.change(
            lambda connection: connection.execute(_CLAIM[connection.dialect.name], row).rowcount > 0
        )


_KEY_AREA = "secret_key"
_KEY_IN_USE = select(app_state.c.key).where(app_state.c.area == _KEY_AREA)
_RESEAL_ROWS = 500
_KEY_LOCK = 7_313_840_220


async def adopt_key(database: Database, vault: Vault) -> None:
    """Seal what is stored anew where it was under the old key. Raises KeyChanged where the vault opens none of it."""
    async with database.write() as connection:
        if not database.is_sqlite:  # processes that start together on a new database agree on one after the other
            await connection.execute(select(func.pg_advisory_xact_lock(_KEY_LOCK)))
        known = await connection.scalar(_KEY_IN_USE) or await connection.run_sync(_guessed, vault)
        if known not in vault.fingerprints:
            raise KeyChanged
        if known != vault.fingerprints[0]:
            await connection.run_sync(_reseal, vault)
        await connection.execute(delete(app_state).where(app_state.c.area == _KEY_AREA))
        row = {"area": _KEY_AREA, "key": vault.fingerprints[0], "value": "", "updated_at": 0.0}
        await connection.execute(insert(app_state).values(**row))


def _guessed(connection: Connection, vault: Vault) -> str | None:
    """The fingerprint of the key that opens what is stored, for a database that does not say; the own one for none."""
    sealed = list(connection.scalars(select(app_state.c.value).order_by(app_state.c.updated_at.desc()).limit(20)))
    sealed += connection.scalars(select(jobs.c.secret).order_by(jobs.c.created_at.desc()).limit(20))
    if not sealed or any(vault.opens(text) for text in sealed):
        return vault.fingerprints[-1]  # anew, should an old key be named: what is under the new one stays as it is
    return None


def _reseal(connection: Connection, vault: Vault) -> None:
    for sealed in (app_state.c.value, obligations.c.data, jobs.c.secret):
        names = list(sealed.table.primary_key)
        key, query = tuple_(*names), select(*names, sealed).order_by(*names).limit(_RESEAL_ROWS)
        rows = connection.execute(query).all()
        while rows:
            for *one, text in rows:
                if vault.opens(text):
                    anew = {sealed.key: vault.reseal(text)}
                    connection.execute(update(sealed.table).where(key == tuple_(*one)).values(anew))
            rows = connection.execute(query.where(key > tuple_(*rows[-1][:-1]))).all()
