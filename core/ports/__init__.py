"""The seams of the core, as protocols: what it needs from outside, and what adapters may ask of it."""

from core.domain.variations import Change
from core.ports.chat import AdapterContext, ChatAdapter, Download, LoginRefused, Reply, ReplyState
from core.ports.checkup import Credential, Finding
from core.ports.clock import Clock
from core.ports.files import TILE_PX, MediaFile, PictureOf, TileSet
from core.ports.guests import KnownPlace, KnowsOwner, PlaceFacts, Verdict
from core.ports.metrics import Metrics
from core.ports.money import Granted, HoldAnswer, HoldRequest, MustWait
from core.ports.operator import LogOnly, OperatorAlerts
from core.ports.ownership import Lease, NotOwner
from core.ports.storage import AppState, JobEngine, Obligation, OpenHere
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
