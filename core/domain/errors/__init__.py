"""Every way a request can fail, as a tree of facts. Sentences for people are made in `core.presentation`.

    UpscaleError
    ├── RequestError            what was asked cannot be done as asked
    │   ├── InvalidParameters   ├── NoImage            ├── UnsafeNotAllowed
    │   ├── NotAllowed          ├── JobNotFound        ├── TooLate          ├── QuoteExpired
    │   ├── PlatformRefused     ├── PlatformBusy       ├── StorageFull      └── NotAdmitted
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

from __future__ import annotations

from core.domain.errors.base import Draining, InternalError, Restored, StorageUnavailable, UpscaleError
from core.domain.errors.budget import BudgetError, LedgerUnavailable, LimitReached, Paused, TooManyWaiting
from core.domain.errors.delivery import DeliveryError, DeliveryRefused, DeliveryUnavailable, PlaceRefused
from core.domain.errors.inputs import (
    DamagedImage,
    DownloadFailed,
    FileTooLarge,
    FlatImage,
    ImageTooCostly,
    ImageTooSmall,
    InputError,
    LinkRefused,
    NotAnImage,
    OutputTooLarge,
    TargetUnreachable,
    TooManyPixels,
    UnsupportedFormat,
)
from core.domain.errors.provider import (
    ContentRejected,
    ImageRejected,
    InvalidForModel,
    ModelError,
    ModelFailed,
    ModelNotOffered,
    ProviderBusy,
    ProviderError,
    ProviderHalted,
    ProviderUnavailable,
    RequestLost,
    ResultExpired,
    SubmitNotSent,
    SubmitUnknown,
)
from core.domain.errors.request import (
    InvalidParameters,
    JobNotFound,
    NoImage,
    NotAdmitted,
    NotAllowed,
    ParameterProblem,
    PlatformBusy,
    PlatformRefused,
    QuoteExpired,
    RequestError,
    StorageFull,
    TooLate,
    UnsafeNotAllowed,
)
from core.domain.errors.stored import from_json, leaves, to_json

__all__ = [
    "BudgetError",
    "ContentRejected",
    "DamagedImage",
    "DeliveryError",
    "DeliveryRefused",
    "DeliveryUnavailable",
    "DownloadFailed",
    "Draining",
    "FileTooLarge",
    "FlatImage",
    "ImageRejected",
    "ImageTooCostly",
    "ImageTooSmall",
    "InputError",
    "InternalError",
    "InvalidForModel",
    "InvalidParameters",
    "JobNotFound",
    "LedgerUnavailable",
    "LimitReached",
    "LinkRefused",
    "ModelError",
    "ModelFailed",
    "ModelNotOffered",
    "NoImage",
    "NotAdmitted",
    "NotAllowed",
    "NotAnImage",
    "OutputTooLarge",
    "ParameterProblem",
    "Paused",
    "PlaceRefused",
    "PlatformBusy",
    "PlatformRefused",
    "ProviderBusy",
    "ProviderError",
    "ProviderHalted",
    "ProviderUnavailable",
    "QuoteExpired",
    "RequestError",
    "RequestLost",
    "Restored",
    "ResultExpired",
    "StorageFull",
    "StorageUnavailable",
    "SubmitNotSent",
    "SubmitUnknown",
    "TargetUnreachable",
    "TooLate",
    "TooManyPixels",
    "TooManyWaiting",
    "UnsafeNotAllowed",
    "UnsupportedFormat",
    "UpscaleError",
    "from_json",
    "leaves",
    "to_json",
]
