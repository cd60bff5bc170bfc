"""The seams of the core, as protocols: what it needs from outside, and what adapters may ask of it."""

from __future__ import annotations

from core.domain.variations import Change
from core.ports.chat import AdapterContext, Capabilities, ChatAdapter, Download, LoginRefused, Reply, ReplyState
from core.ports.checkup import Credential, Finding
from core.ports.clock import Clock
from core.ports.files import TILE_PX, Media, MediaFile, PictureOf, ResultLinks, TileSet
from core.ports.guests import Guests, KnownPlace, KnowsOwner, PlaceFacts, Verdict
from core.ports.metrics import Metrics, NoMetrics
from core.ports.money import Granted, HoldAnswer, HoldRequest, Ledger, MustWait
from core.ports.operator import (
    BooksDiffer,
    LogOnly,
    OperatorAlerts,
    OperatorNews,
    PlaceAsks,
    StuckJobs,
    UnclearBill,
    UnclearPrice,
)
from core.ports.ownership import Lease, NotOwner, OwnLease
from core.ports.service import Service
from core.ports.storage import AppState, JobEngine, JobStore, Obligation, Obligations, OpenHere
from core.ports.upscaler import (
    BillingEvent,
    Found,
    ModelInputs,
    RemoteCompleted,
    RemoteQueued,
    RemoteRunning,
    RemoteStatus,
    Upscaler,
)

__all__ = [
    "TILE_PX",
    "AdapterContext",
    "AppState",
    "BillingEvent",
    "BooksDiffer",
    "Capabilities",
    "Change",
    "ChatAdapter",
    "Clock",
    "Credential",
    "Download",
    "Finding",
    "Found",
    "Granted",
    "Guests",
    "HoldAnswer",
    "HoldRequest",
    "JobEngine",
    "JobStore",
    "KnownPlace",
    "KnowsOwner",
    "Lease",
    "Ledger",
    "LogOnly",
    "LoginRefused",
    "Media",
    "MediaFile",
    "Metrics",
    "ModelInputs",
    "MustWait",
    "NoMetrics",
    "NotOwner",
    "Obligation",
    "Obligations",
    "OpenHere",
    "OperatorAlerts",
    "OperatorNews",
    "OwnLease",
    "PictureOf",
    "PlaceAsks",
    "PlaceFacts",
    "RemoteCompleted",
    "RemoteQueued",
    "RemoteRunning",
    "RemoteStatus",
    "Reply",
    "ReplyState",
    "ResultLinks",
    "Service",
    "StuckJobs",
    "TileSet",
    "UnclearBill",
    "UnclearPrice",
    "Upscaler",
    "Verdict",
]
