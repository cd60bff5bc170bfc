"""The tree of errors that end a request. `core.presentation` turns each into a sentence for people.

    UpscaleError
    ├── RequestError            what was asked cannot be done as asked
    │   ├── InvalidParameters   ├── NoImage            ├── UnsafeNotAllowed
    │   ├── NotAllowed          ├── JobNotFound        ├── TooLate          ├── QuoteExpired
    │   ├── PlatformRefused     ├── PlatformBusy       ├── StorageFull      ├── NotAdmitted
    │   ├── PresetRefused       ├── SelectionClosed    ├── OtherModelChosen └── LimitNotSet
    ├── InputError              the image is unusable, or could not be fetched
    │   ├── NotAnImage          ├── UnsupportedFormat  ├── DamagedImage     ├── FileTooLarge
    │   ├── TooManyPixels       ├── ImageTooSmall      ├── OutputTooLarge   ├── ImageTooCostly
    │   ├── FlatImage           ├── TargetUnreachable
    │   ├── LinkRefused         └── DownloadFailed
    ├── BudgetError             a limit, a pause or the ledger prevents spending
    │   ├── LimitReached        ├── TooManyWaiting     ├── Paused           └── LedgerUnavailable
    ├── ModelError              the model answered with an error
    │   ├── ImageRejected       ├── ContentRejected    ├── InvalidForModel  ├── ModelFailed
    │   └── ModelNotOffered
    ├── ProviderError           fal failed or could not be reached
    │   ├── ProviderHalted      ├── ProviderBusy       ├── ProviderUnavailable
    │   ├── SubmitNotSent       ├── SubmitUnknown      ├── RequestLost      └── ResultExpired
    ├── DeliveryError           the chat platform refuses the message or is down
    │   ├── DeliveryRefused     ├── DeliveryUnavailable └── PlaceRefused
    ├── Draining                this process is shutting down
    ├── StorageUnavailable      the database does not answer
    ├── Restored                the job was unfinished in a backup that was restored
    └── InternalError           an unexpected exception; carries only its log reference

Each class is a dataclass whose fields are JSON values, so that an error can be stored with its job and explained
later, in another language, by another process. No field may hold a link, a token or a file's bytes.
"""

from core.domain.errors.base import *  # noqa: F403
from core.domain.errors.inputs import *  # noqa: F403
from core.domain.errors.provider import *  # noqa: F403
from core.domain.errors.request import *  # noqa: F403
