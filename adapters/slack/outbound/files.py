"""Files to Slack, in three steps, streamed from disk and resumable at each; and Slack's own, made ready to be fetched.

Up: `files.getUploadURLExternal`, POST of the bytes, `files.completeUploadExternal` (docs read 2026-11-22). The SDK's
`files_upload_v2` is not used: it reads the whole file on the event loop and forgets the file id when step 3 fails.
The file id is noted before the bytes go, so that another process carries on. Posts no message of its own unless a
channel is given.

Down: `files.info` is always asked: events may carry a stub (Slack Connect), the file may not be processed yet, and its
address must never be taken from elsewhere. A file that lies outside Slack (Drive, Dropbox …) is refused, so that the
token cannot reach a third party.
"""

import asyncio
import mimetypes
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import aiohttp
import structlog

from adapters.slack.outbound import errors
from adapters.slack.outbound.api_client import SlackApi, Team
from core.domain.errors import DownloadFailed, NotAnImage
from core.domain.job import Source
from core.domain.untrusted_text import Shape, clean_json, has_shape
from core.ports import Clock, Download

log = structlog.get_logger(__name__)

ALT_TXT_MAX_CHARS = 1000
SLOWEST_BYTES_PER_S = 200_000
BASE_TIMEOUT_S = 30.0
STEP_TRIES = 3
COMPLETE_TRIES = 5
"""An `internal_error` so often in a row is no accident (node-slack-sdk #2301, Slack Connect, read 2026-11-28)."""
UPLOAD_TRIES = 3
REFUSED_BYTES = frozenset(range(400, 500)) - {408, 425, 429}
"""Statuses of the address for the bytes that no second try there mends."""
PROCESSING_WAIT_S = 45.0

SaveState = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Upload:
    """What is to be sent, and where it is to be shown at once (nowhere without `channel`)."""

    path: Path
    name: str
    title: str
    alt: str
    bytes: int
    channel: str = ""
    thread_ts: str = ""


@dataclass(frozen=True, slots=True)
class Uploader:
    api: SlackApi
    session: aiohttp.ClientSession
    clock: Clock

    async def send(
        self,
        team: Team,
        upload: Upload,
        state: dict[str, Any],
        save_state: SaveState,
        *,
        complete_later: bool = False,
        before_send: Callable[[], Awaitable[None]] | None = None,
    ) -> str:
        """Upload the file and return its id; with `complete_later`, only the bytes, for a later call to complete.

        `state` is the durable state of one upload, and `save_state` stores it. `before_send` is awaited before the file
        is shown, as in `SlackApi.call`. Raises SlackRefused if no retry can help, else SlackUnavailable.
        """
        refused, status = 0, 0
        for _ in range(UPLOAD_TRIES):
            file_id, step, url = str(state.get("id") or ""), state.get("step", "granted"), ""
            if not file_id:
                file_id, url = await self._start(team, upload)
                await save_state({"id": file_id, "step": "granted"})
            if step == "granted":
                status = await self._post_bytes(url, upload) if url else 0
                if status == 200:
                    step = "sent"
                    await save_state({"id": file_id, "step": step})
            if step == "sent" and not complete_later and await self._complete(team, upload, file_id, before_send):
                step = "complete"
                await save_state({"id": file_id, "step": step})
            if step == "complete" or (step == "sent" and complete_later):
                return file_id
            # Its address is not kept (it is a secret), and a refused one is spent: begin anew.
            refused += step == "sent" or status in REFUSED_BYTES
            state = {}
            await save_state(state)
        if refused == UPLOAD_TRIES:
            raise errors.SlackRefused(errors.FILE_TOO_LARGE if status == 413 else "upload_not_completed")
        raise errors.SlackUnavailable("upload")

    async def send_once(self, team: Team, upload: Upload) -> str:
        """`send` for what is not carried on after a crash: whoever asked presses again."""

        async def forgotten(_: dict[str, Any]) -> None:
            """Nothing is noted."""

        return await self.send(team, upload, {}, forgotten)

    async def _start(self, team: Team, upload: Upload) -> tuple[str, str]:
        answer = await self.api.call(
            team,
            "files.getUploadURLExternal",
            filename=upload.name,
            length=upload.bytes,
            alt_txt=upload.alt[:ALT_TXT_MAX_CHARS] or None,
        )
        return str(answer["file_id"]), str(answer["upload_url"])

    async def _post_bytes(self, url: str, upload: Upload) -> int:
        """Step 2, without a token; its HTTP status, 0 without an answer.

        Again on 5xx, 429 and lost connections: the address takes the same bytes twice.
        """
        timeout = aiohttp.ClientTimeout(
            total=BASE_TIMEOUT_S + upload.bytes / SLOWEST_BYTES_PER_S, connect=10, sock_read=120
        )
        kind = mimetypes.guess_type(upload.name)[0] or "application/octet-stream"
        headers = {"Content-Type": kind, "Content-Length": str(upload.bytes)}
        status = 0
        for attempt in range(STEP_TRIES):
            body: BinaryIO = await asyncio.to_thread(upload.path.open, "rb")
            try:
                async with self.session.post(url, data=body, headers=headers, timeout=timeout) as answer:
                    status = answer.status
                    if status == 200 or status in REFUSED_BYTES:
                        return status
                    log.info("slack_upload_refused", status=status, attempt=attempt)
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                status = 0
                log.info("slack_upload_broke", kind=type(error).__name__, attempt=attempt)
            finally:
                await asyncio.to_thread(body.close)
            await self.clock.sleep(0.3 * 2**attempt)
        return status

    async def _complete(
        self, team: Team, upload: Upload, file_id: str, before_send: Callable[[], Awaitable[None]] | None
    ) -> bool:
        """Step 3, tried again where Slack says that it stumbled.

        True when the file is complete, by this call or an earlier one; False when it must be sent anew."""
        stumbled = 0
        for attempt in range(COMPLETE_TRIES):
            try:
                await self.api.call(
                    team,
                    "files.completeUploadExternal",
                    before_send=before_send,
                    files=[{"id": file_id, "title": upload.title[:250]}],
                    channel_id=upload.channel or None,
                    thread_ts=(upload.thread_ts or None) if upload.channel else None,
                )
                return True
            except errors.SlackUnavailable as away:
                if not away.may_have_succeeded:
                    raise
                if await self.is_complete(team, file_id, upload.channel):
                    return True
                stumbled += away.error in errors.OUTCOME_UNKNOWN
            except errors.SlackRefused as refusal:
                if refusal.error != errors.FILE_GONE:
                    raise
                # Completed before an answer was lost, or never received.
                return await self.is_complete(team, file_id, upload.channel)
            await self.clock.sleep(0.3 * 2**attempt)
        if stumbled == COMPLETE_TRIES:
            raise errors.SlackRefused("upload_not_completed")
        raise errors.SlackUnavailable("complete", may_have_succeeded=True)

    async def is_complete(self, team: Team, file_id: str, channel: str = "") -> bool:
        """Whether Slack knows the file, and shows it in the channel if it was to."""
        file = await self.wait_processed(team, file_id, timeout_s=10.0 if channel else 0.0, shown_in=channel)
        return file is not None and channel in str(file.get("shares"))

    async def wait_processed(
        self, team: Team, file_id: str, *, timeout_s: float = PROCESSING_WAIT_S, shown_in: str = ""
    ) -> dict[str, Any] | None:
        """Slack's record of the file as `SlackApi.processed` says; None where Slack refuses to say."""
        try:
            return await self.api.wait_processed(team, file_id, timeout_s=timeout_s, shown_in=shown_in)
        except errors.SlackRefused:
            return None


SLACK_HOSTS = ("files.slack.com", "slack-files.com", "slack.com", ".slack.com", ".slack-edge.com", ".slack-files.com")
"""Slack's own; those with a dot in front stand for every name below them."""
_URL_SAFE = "%:/?#[]@!$&'()*+,;=~"
READY_WAIT_S = 20.0
_RECORD: Shape = {
    "mimetype": str, "mode": str, "url_private": str, "url_private_download": str,
    "shares": {"private": dict, "public": dict}, "groups": [str], "ims": [str],
}  # fmt: skip
"""What is read of Slack's record of a file."""
DOCUMENTS = frozenset({"canvas", "quip", "list", "post", "space"})
"""What Slack itself makes and shows among files: canvases, lists, posts. Fetched, they are web pages."""


def posts_of(file: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(channel, ts) of the messages that a file hangs on, by Slack's record of it."""
    sides = (file.get("shares") or {}).values()
    posts = [(channel, post) for side in sides for channel, found in side.items() for post in found]
    return [(channel, str(post["ts"])) for channel, post in posts if post.get("ts")]


async def download_of(source: Source, api: SlackApi, hosts: Sequence[str]) -> Download:
    """Where and how to fetch it now. Raises DownloadFailed with the reason that fits, and NotAnImage."""
    team = Team(source.data.get("team", ""), source.data.get("enterprise", ""), source.data.get("member", ""))
    try:
        file_id = source.data.get("file", "")
        file = await api.wait_processed(team, file_id, timeout_s=READY_WAIT_S, check=_refuse_unusable)
        token = await api.token(team)
    except errors.SlackError as error:
        passes = isinstance(error, errors.SlackUnavailable) or error.error in errors.TRANSIENT
        gone = isinstance(error, errors.SlackRefused) and error.error not in errors.FILE_HIDDEN
        raise DownloadFailed(reason="connection" if passes else "gone" if gone else "not_visible") from None
    if not file.get("mimetype"):
        raise DownloadFailed(reason="not_ready")
    url = clean_json(file.get("url_private_download") or file.get("url_private") or "")
    named_only = "by" in source.data
    if not url or (named_only and not _may_see(file, source.data["by"], source.data.get("in", ""))):
        raise DownloadFailed(reason="not_visible")
    return Download(quote(url, safe=_URL_SAFE), {"Authorization": f"Bearer {token}"}, (*SLACK_HOSTS, *hosts))


def _refuse_unusable(file: dict[str, Any]) -> None:
    if not has_shape(file, _RECORD):
        raise DownloadFailed(reason="not_ready")
    if file.get("is_external") or file.get("mode") == "external":
        raise DownloadFailed(reason="external")
    if file.get("mode") in DOCUMENTS or str(file.get("mimetype")).startswith("application/vnd.slack-"):
        raise NotAnImage(detected=str(file.get("pretty_type") or file.get("mode")))
    if file.get("mode") == "hidden_by_limit":
        raise DownloadFailed(reason="hidden")
    if file.get("mode") == "tombstone":
        raise DownloadFailed(reason="gone")
    if file.get("file_access") not in (None, "", "visible"):
        raise DownloadFailed(reason="not_visible")


def _may_see(file: dict[str, Any], user_id: str, channel_id: str) -> bool:
    """Whether a member who only named the file may have it: we see private channels that the member does not.

    The member's own, public, or shared where it was asked for; also where Slack does not say that it is private.
    """
    shares = file.get("shares") or {}
    private = {str(name) for key in ("groups", "ims") for name in file.get(key) or ()} | set(
        shares.get("private") or {}
    )
    if file.get("user") == user_id or file.get("is_public") or channel_id in private:
        return True
    return file.get("is_public") is None and not private
