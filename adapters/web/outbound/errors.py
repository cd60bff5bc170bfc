"""Which HTTP status answers which error of the tree. A table, checked against the tree by a test."""

from core.domain import errors as e
from core.domain.limits import Measure

_BY_CLASS: tuple[tuple[type[e.UpscaleError], int], ...] = (
    (e.InvalidParameters, 400),
    (e.PresetRefused, 400),
    (e.NoImage, 400),
    (e.UnsafeNotAllowed, 403),
    (e.NotAllowed, 403),
    (e.NotAdmitted, 403),
    (e.JobNotFound, 404),
    (e.TooLate, 409),
    (e.QuoteExpired, 410),
    (e.PlatformRefused, 403),
    (e.PlatformBusy, 503),
    (e.NotAnImage, 415),
    (e.UnsupportedFormat, 415),
    (e.FileTooLarge, 413),
    (e.TooManyPixels, 413),
    (e.LinkRefused, 400),
    (e.InputError, 422),
    (e.TooManyWaiting, 429),
    (e.StorageFull, 507),
    (e.Paused, 403),
    (e.LedgerUnavailable, 503),
    (e.ModelError, 422),
    (e.ResultExpired, 410),
    (e.RequestLost, 502),
    (e.SubmitUnknown, 502),
    (e.ProviderError, 503),
    (e.DeliveryError, 409),
    (e.Draining, 503),
    (e.Restored, 409),
    (e.StorageUnavailable, 503),
)


def status_of(error: e.UpscaleError) -> int:
    """The HTTP status for `error`; 500 only for what nobody foresaw."""
    if isinstance(error, e.LimitReached):
        return 402 if error.status.limit.measure is Measure.USD else 429
    return next((status for kind, status in _BY_CLASS if isinstance(error, kind)), 500)


def field_of(error: e.UpscaleError) -> str | None:
    """The one field of the request that is at fault, for errors that concern one; parameters have their own list."""
    if isinstance(error, e.OutputTooLarge):
        return "factor"
    if isinstance(error, (e.LinkRefused, e.DownloadFailed)):
        return "url"
    if isinstance(error, e.UnsafeNotAllowed):
        return "safety"
    return "image" if isinstance(error, (e.NoImage, e.InputError)) else None
