"""Jobs that meet Discord's errors, each in its own channel, and a check of their final messages."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from adapters.discord.outbound import errors
from core.domain.job import Job
from tests.adapters.discord.fake_service import png
from tests.adapters.discord.kit import PICTURE
from tests.adapters.discord.whole import Whole
from tests.emulators.discord import Fault, Invocation, SeenMessage, Upload
from tests.emulators.discord.refusals import REFUSALS
from tests.emulators.discord.world import Channel, User

SECOND = Upload("quay.png", png(48, 64))
PRICE_NANOUSD = 100_000_000
HERE, DIRECT = 1, 2
SEEDS = count()
"""A repeat with the same seed would be free."""
HOOK = "(PATCH|POST) .*/webhooks/"
TOO_LARGE = ((413, 0), (413, 40005), (413, 50045))

NAMED = frozenset(value for value in vars(errors).values() if isinstance(value, int) and value > 10_000)


def kind_of(status: int, code: int) -> tuple[int, int]:
    """What distinguishes it for the adapter: the status, and the code if `errors` names it."""
    return status, code if code in NAMED else -1


KINDS = tuple({kind_of(*refusal): refusal for refusal in reversed(REFUSALS)}.values())
AT_MESSAGES = "(PATCH|POST) .*/(webhooks|channels)/"
NOWHERE = [Fault(AT_MESSAGES, "status", 99, place=where) for where in (HERE, DIRECT)]
FEW = (
    *{status: (status, code) for status, code in REFUSALS if code not in (10008, 10062, 40060)}.values(),
    (429, 30046),
    (403, 20009),
    (400, 200000),
)
"""One of each HTTP status."""
FILES = [Fault("(PATCH|POST) ", "status", 99, brings="files", place=where) for where in (HERE, DIRECT)]
ANSWERS = ((404, 10062), (404, 10015), (400, 40060))
"""Discord's errors for an interaction that is too old, whose token is dead, or that is already acknowledged."""


@dataclass
class Case:
    """One error in its own channel, and what its member sees there and in direct messages."""

    status: int
    code: int
    user: User
    channel: Channel
    started: Invocation
    batch: bool = False
    job: Job | None = None

    def seen(self, whole: Whole) -> list[SeenMessage]:
        return whole.discord.messages(self.channel, self.user) + whole.discord.dms(self.user)

    @property
    def keys(self) -> list[str]:
        """The keys of its jobs. The last one is checked; in a batch the second, whose message is a follow-up."""
        one = f"discord:{self.started.interaction.id}"
        options = {each["name"]: each["value"] for each in self.started.interaction.payload["data"]["options"]}
        return [f"{one}:0:{options['image']}", f"{one}:1:{options['image2']}"] if self.batch else [one]

    @property
    def place(self) -> dict[str, Any]:
        return {"user": self.user, "channel": self.channel}

    @property
    def outcome(self) -> str:
        assert self.job
        if self.job.delivery is None:
            return self.job.state.value
        return "kept" if self.job.delivery.shape == "kept" else self.job.delivery.elsewhere or "here"


def refuse(whole: Whole, case: Case, faults: list[Fault]) -> None:
    direct = whole.discord.world.dm_with(case.user)
    for fault in faults:
        place = case.channel.id if fault.place == HERE else direct.id
        whole.discord.faults.append(replace(fault, status=case.status, code=case.code, place=place))


async def begin(
    whole: Whole, faults: list[Fault], refusals: Sequence[tuple[int, int]], *, batch: bool = False
) -> list[Case]:
    """Start a job (or two) in a separate channel for each error."""
    cases = []
    for status, code in refusals:
        user = whole.discord.world.add_user(f"m{status}x{code}")
        channel = whole.discord.world.add_channel(whole.discord.guild)
        case = Case(status, code, user, channel, None, batch)  # type: ignore[arg-type]
        refuse(whole, case, faults)
        asked = {"image": PICTURE, "seed": next(SEEDS)} | ({"image2": SECOND} if batch else {})
        case.started = await whole.discord.invoke("/upscale", asked, user=user, channel=channel)
        cases.append(case)
    return cases


async def all_ended(whole: Whole, cases: list[Case]) -> None:
    late = []
    for case in cases:
        for key in case.keys:
            try:
                case.job = await whole.ended(key)
            except TimeoutError:
                job = await whole.job(key)
                late.append((case.status, case.code, job and job.state))
    assert late == []
    await whole.settled()


def what_is_wrong(whole: Whole, case: Case, charges: dict[str, list[int]], wanted: str, *, words: bool) -> list[str]:
    """The faults found in this case."""
    job = case.job
    assert job is not None
    words_seen = [m for m in case.seen(whole) if not m.images]
    text = " ".join(m.text for m in words_seen)
    wrong = []
    too_large = (case.status, case.code) in TOO_LARGE and bool(charges.get(job.id))
    gone = case.code == 10008  # nobody sees a message that is gone, and what comes in its place is for its owner alone
    allowed = {*wanted.split(), *(["here", "kept"] if too_large else []), *(["direct_message"] if gone else [])}
    if case.outcome not in allowed:
        wrong.append(f"ended {case.outcome}")
    if charges.get(job.id, []) != ([] if case.outcome == "refused" else [PRICE_NANOUSD]):
        wrong.append(f"charged {charges.get(job.id)}")
    shown = case.outcome not in ("kept", "refused") and job.delivery is not None and job.delivery.shape != "link"
    if len(case.seen(whole)) - len(words_seen) != shown + (case.batch and wanted != "kept"):
        wrong.append("another number of images")
    words = words and not gone
    if words and any("Cancel" in m.labels or "Upscaling" in m.text for m in words_seen):
        wrong.append(f"still working: {text!r}")
    told = {"kept": "history", "direct_message": "as a direct message", "new_message": "as a new message"}
    if (
        words
        and case.outcome in told
        and words_seen
        and (told[case.outcome] not in text or "Charged $0.10" not in text)
    ):
        wrong.append(f"{case.outcome}, but says {text!r}")
    return [f"{case.status} {case.code}: {each}" for each in wrong]
