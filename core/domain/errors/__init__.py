"""Every way a request can fail, as a tree of facts. Sentences for people are made in `core.presentation`.

    UpscaleError
    ├── RequestError            what was asked cannot be done as asked
    │   ├── InvalidParameters   ├── NoImage            ├── UnsafeNotAllowed
    │   ├── NotAllowed          ├── JobNotFound        ├── TooLate          ├── QuoteExpired
    │   ├── PlatformRefused     ├── PlatformBusy       ├── StorageFull      ├── NotAdmitted
    │   ├── PresetRefused       └── OtherModelChosen
    ├── InputError              the picture, or the way to it, is at fault
    │   ├── NotAnImage          ├── UnsupportedFormat  ├── DamagedImage     ├── FileTooLarge
    │   ├── TooManyPixels       ├── ImageTooSmall      ├── OutputTooLarge   ├── ImageTooCostly
    │   ├── FlatImage           ├── TargetUnreachable
    │   ├── LinkRefused         └── DownloadFailed
    ├── BudgetError             a limit, a pause, or the ledger says no
    │   ├── LimitReached        ├── TooManyWaiting     ├── Paused           └── LedgerUnavailable
    ├── ModelError              the model answered with an error
    │   ├── ImageRejected       ├── ContentRejected    ├── InvalidForModel  ├── ModelFailed
    │   └── ModelNotOffered
    ├── ProviderError           fal itself, or the way to it, is at fault
    │   ├── ProviderHalted      ├── ProviderBusy       ├── ProviderUnavailable
    │   ├── SubmitNotSent       ├── SubmitUnknown      ├── RequestLost      └── ResultExpired
    ├── DeliveryError           the chat platform refuses or is away
    │   ├── DeliveryRefused     ├── DeliveryUnavailable └── PlaceRefused
    ├── Draining                this process is shutting down
    ├── StorageUnavailable      the database does not answer
    ├── Restored                unfinished in a backup that was restored
    └── InternalError           the unforeseen; carries only its reference

Each class is a dataclass whose fields are JSON facts, so that an error can be stored with its job and explained
later, in another language, by another process. Nothing here may hold a link, a token or a file's bytes.
"""

from core.domain.errors.base import *  # noqa: F403
from core.domain.errors.inputs import *  # noqa: F403
from core.domain.errors.provider import *  # noqa: F403
from core.domain.errors.request import *  # noqa: F403
