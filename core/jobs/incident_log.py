"""Unforeseen errors: logged once, stored, and shown to people as a reference that the operator can look up."""

import secrets

import structlog

from core.domain.errors import InternalError, StorageUnavailable, UpscaleError
from core.domain.job import job_id_for
from core.jobs.context import JobContext
from core.storage.database import DATABASE_ERRORS
from core.storage.database_url import explain

log = structlog.get_logger(__name__)


class Incidents:
    def __init__(self, ctx: JobContext) -> None:
        self._ctx = ctx

    async def incident(self, area: str, error: BaseException) -> str:
        """Log and store the error, and return the reference that people are shown."""
        reference = job_id_for(secrets.token_hex(16))
        log.error("incident", reference=reference, area=area, exc_info=error)
        self._ctx.metrics.incident(area)
        try:
            await self._ctx.store.add_incident(reference, area=area, kind=type(error).__name__, job_id="")
        except DATABASE_ERRORS as away:
            log.error("incident_not_kept", reference=reference, kind=type(away).__name__)
        return reference

    async def unforeseen(self, area: str, error: BaseException) -> UpscaleError:
        """Map any error of a handler to an UpscaleError. An unavailable database is not recorded as an incident."""
        if isinstance(error, UpscaleError):
            return error
        if isinstance(error, (*DATABASE_ERRORS, ConnectionError, TimeoutError)):
            log.error("storage_unavailable", area=area, kind=type(error).__name__, reason=explain(error))
            return StorageUnavailable()
        return InternalError(reference=await self.incident(area, error))
