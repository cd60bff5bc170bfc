"""Maps the core's errors to HTTP statuses. A test checks the table against the tree of errors."""

from core.domain import errors as e
from core.domain.limits import Measure

_STATUSES: dict[int, tuple[type[e.UpscaleError], ...]] = {
    400: (e.InvalidParameters, e.PresetRefused, e.NoImage, e.LinkRefused),
    403: (e.UnsafeNotAllowed, e.NotAllowed, e.NotAdmitted, e.PlatformRefused, e.Paused),
    404: (e.JobNotFound, e.LimitNotSet),
    409: (e.TooLate, e.DeliveryError, e.OtherModelChosen, e.Restored),
    410: (e.QuoteExpired, e.ResultExpired, e.SelectionClosed),
    413: (e.FileTooLarge, e.TooManyPixels),
    415: (e.NotAnImage, e.UnsupportedFormat),
    422: (e.InputError, e.ModelError),
    429: (e.TooManyWaiting,),
    502: (e.RequestLost, e.SubmitUnknown),
    503: (e.PlatformBusy, e.LedgerUnavailable, e.ProviderError, e.Draining, e.StorageUnavailable),
    507: (e.StorageFull,),
}
_BY_CLASS = {kind: status for status, kinds in _STATUSES.items() for kind in kinds}


def status_of(error: e.UpscaleError) -> int:
    """The HTTP status for `error`; 500 only for unforeseen errors."""
    if isinstance(error, e.LimitReached):
        return 402 if error.status.limit.measure is Measure.USD else 429
    return next((_BY_CLASS[kind] for kind in type(error).__mro__ if kind in _BY_CLASS), 500)


def field_of(error: e.UpscaleError) -> str | None:
    """The request's invalid field, for errors that concern one; InvalidParameters lists its own."""
    if isinstance(error, e.OutputTooLarge):
        return "factor"
    if isinstance(error, (e.LinkRefused, e.DownloadFailed)):
        return "url"
    if isinstance(error, e.UnsafeNotAllowed):
        return "safety"
    return "image" if isinstance(error, (e.NoImage, e.InputError)) else None
