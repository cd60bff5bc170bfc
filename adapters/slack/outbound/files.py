"""Upload files to Slack, streamed from disk and resumable; and resolve files at Slack for downloading.

Uploads: `files.getUploadURLExternal`, POST of the bytes, `files.completeUploadExternal` (docs read 2026-11-22). The
SDK's `files_upload_v2` reads the whole file on the event loop, and loses the file id if the third step fails. The id
is stored before the bytes are sent, so that another process can resume. No message is posted unless a channel is given.

Downloads: `files.info` is called unless the event had the whole record: it may hold only a stub (Slack Connect), the
file may not be processed yet, and its address must come from Slack. External files (Drive, Dropbox …) are refused, so
that the token never reaches a third party.
"""

import asyncio
import mimetypes
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import structlog

from adapters.slack.outbound import errors
from adapters.slack.outbound.api_client import SlackApi, Team
from core.domain.errors import DownloadFailed, NotAnImage
from core.domain.job import Source
from core.domain.untrusted_text import Shape, clean_json, has_shape
from core.net.file_sink import open_file
from core.ports import Clock, Download

log = structlog.get_logger(__name__)

ALT_TXT_MAX_CHARS = 1000
SLOWEST_BYTES_PER_S = 200_000
BASE_TIMEOUT_S = 30.0
STEP_TRIES = 3
COMPLETE_TRIES = 5
"""So many `internal_error` in a row are permanent (node-slack-sdk #2301, Slack Connect, read 2026-11-28)."""
UPLOAD_TRIES = 3
REFUSED_BYTES = frozenset(range(400, 500)) - {408, 425, 429}
"""Statuses of the upload address after which a retry there is pointless."""
PROCESSING_WAIT_S = 45.0

SaveState = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to upload, and the channel that should show it (none if empty)."""

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
            # The upload address is a secret, so it is not stored, and works only once: start over.
            refused += step == "sent" or status in REFUSED_BYTES
            state = {}
            await save_state(state)
        if refused == UPLOAD_TRIES:
            raise errors.SlackRefused(errors.FILE_TOO_LARGE if status == 413 else "upload_not_completed")
        raise errors.SlackUnavailable("upload")

    async def send_once(self, team: Team, upload: Upload) -> str:
        """`send` without stored state, for an upload that is not resumed after a crash."""

        async def discard(_: dict[str, Any]) -> None:
            return None

        return await self.send(team, upload, {}, discard)

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
        """Post the bytes (without a token) and return the HTTP status, 0 without an answer.

        Retries 5xx, 429 and lost connections, since the address accepts the same bytes twice.
        """
        timeout = aiohttp.ClientTimeout(
            total=BASE_TIMEOUT_S + upload.bytes / SLOWEST_BYTES_PER_S, connect=10, sock_read=120
        )
        kind = mimetypes.guess_type(upload.name)[0] or "application/octet-stream"
        headers = {"Content-Type": kind, "Content-Length": str(upload.bytes)}
        status = 0
        for attempt in range(STEP_TRIES):
            body = await open_file(upload.path, "rb")
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
        """Complete the upload, retrying Slack's internal errors.

        True if the file is complete, by this call or an earlier one; False if it must be uploaded again.
        """
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
        """Whether Slack has the file, and shows it in `channel` if given."""
        file = await self.wait_processed(team, file_id, timeout_s=10.0 if channel else 0.0, shown_in=channel)
        return file is not None and channel in str(file.get("shares"))

    async def wait_processed(
        self, team: Team, file_id: str, *, timeout_s: float = PROCESSING_WAIT_S, **how: Any
    ) -> dict[str, Any] | None:
        """`SlackApi.wait_processed`, but None if Slack refuses."""
        try:
            return await self.api.wait_processed(team, file_id, timeout_s=timeout_s, **how)
        except errors.SlackRefused:
            return None


SLACK_HOSTS = ("files.slack.com", "slack-files.com", "slack.com", ".slack.com", ".slack-edge.com", ".slack-files.com")
"""Slack's own hosts; a leading dot stands for all subdomains."""
_URL_SAFE = "%:/?#[]@!$&'()*+,;=~"
READY_WAIT_S = 20.0
_RECORD: Shape = {
    "mimetype": str, "mode": str, "url_private": str, "url_private_download": str,
    "shares": {"private": dict, "public": dict}, "groups": [str], "ims": [str],
}  # fmt: skip
"""The fields of Slack's file record that this module reads."""
DOCUMENTS = frozenset({"canvas", "quip", "list", "post", "space"})
"""Modes of Slack's own documents (canvases, lists, posts), which are web pages when downloaded."""


def posts_of(file: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(channel, ts) of the messages that show a file, by Slack's record of it."""
    sides = (file.get("shares") or {}).values()
    posts = [(channel, post) for side in sides for channel, found in side.items() for post in found]
    return [(channel, str(post["ts"])) for channel, post in posts if post.get("ts")]


async def download_of(source: Source, api: SlackApi, hosts: Sequence[str]) -> Download:
    """Resolve where and how to fetch a file now. Raises DownloadFailed or NotAnImage."""
    team = Team(source.data.get("team", ""), source.data.get("enterprise", ""), source.data.get("member", ""))
    try:
        url = source.url or await _current_address(source, api, team)
        token = (await api.install(team)).bot_token
    except errors.SlackError as error:
        passes = isinstance(error, errors.SlackUnavailable) or error.error in errors.TRANSIENT
        gone = isinstance(error, errors.SlackRefused) and error.error not in errors.FILE_HIDDEN
        raise DownloadFailed(reason="connection" if passes else "gone" if gone else "not_visible") from None
    return Download(quote(url, safe=_URL_SAFE), {"Authorization": f"Bearer {token}"}, (*SLACK_HOSTS, *hosts))


async def _current_address(source: Source, api: SlackApi, team: Team) -> str:
    file = await api.wait_processed(team, source.data.get("file", ""), timeout_s=READY_WAIT_S, check=_refuse_unusable)
    if not file.get("mimetype"):
        raise DownloadFailed(reason="not_ready")
    url, named_only = _address(file), "by" in source.data
    if not url or (named_only and not _may_see(file, source.data["by"], source.data.get("in", ""))):
        raise DownloadFailed(reason="not_visible")
    return url


def address_in_event(file: Mapping[str, Any]) -> str:
    """The address in the record of an event; "" if that is incomplete, so that Slack must be asked."""
    try:
        _refuse_unusable(file)
    except (DownloadFailed, NotAnImage):
        return ""
    return _address(file) if file.get("mimetype") and file.get("mode") == "hosted" else ""


def _address(file: Mapping[str, Any]) -> str:
    return str(clean_json(file.get("url_private_download") or file.get("url_private") or ""))


def _refuse_unusable(file: Mapping[str, Any]) -> None:
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
    """Whether a member who typed a file's link may see it; the bot may see private channels that the member cannot.

    True for the member's own files, public ones, those shared in the channel of the request, and those that Slack does
    not call private.
    """
    shares = file.get("shares") or {}
    private = {str(name) for key in ("groups", "ims") for name in file.get(key) or ()} | set(
        shares.get("private") or {}
    )
    if file.get("user") == user_id or file.get("is_public") or channel_id in private:
        return True
    return file.get("is_public") is None and not private
