"""A file of Slack's, made ready to be fetched: which address, with which token, from which hosts. Fetches no bytes.

`files.info` is always asked: events may carry a stub (Slack Connect), the file may not be processed yet, and its
address must never be taken from elsewhere. A file that lies outside Slack (Drive, Dropbox …) is refused, so that the
token cannot reach a third party.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from adapters.slack.outbound.api_client import SlackApi, Team
from adapters.slack.outbound.errors import FILE_HIDDEN, TRANSIENT, SlackAway, SlackError, SlackRefused
from core.domain.errors import DownloadFailed, NotAnImage
from core.domain.job import Source
from core.ports import Download

SLACK_HOSTS = ("files.slack.com", "slack-files.com", "slack.com", ".slack.com", ".slack-edge.com", ".slack-files.com")
"""Slack's own; those with a dot in front stand for every name below them."""
_URL_SAFE = "%:/?#[]@!$&'()*+,;=~"
READY_WAIT_S = 20.0
DOCUMENTS = frozenset({"canvas", "quip", "list", "post", "space"})
"""What Slack itself makes and shows among files: canvases, lists, posts. Fetched, they are web pages."""


async def download_of(source: Source, api: SlackApi, hosts: Sequence[str]) -> Download:
    """Where and how to fetch it now. Raises DownloadFailed with the reason that fits, and NotAnImage."""
    team = Team(source.data.get("team", ""), source.data.get("enterprise", ""), source.data.get("member", ""))
    try:
        file_id = source.data.get("file", "")
        file = await api.processed(team, file_id, at_most_s=READY_WAIT_S, check=_refuse_unusable)
        token = await api.token(team)
    except SlackError as error:
        passes = isinstance(error, SlackAway) or error.error in TRANSIENT
        gone = isinstance(error, SlackRefused) and error.error not in FILE_HIDDEN
        raise DownloadFailed(reason="connection" if passes else "gone" if gone else "not_visible") from None
    if not file.get("mimetype"):
        raise DownloadFailed(reason="not_ready")
    url = str(file.get("url_private_download") or file.get("url_private") or "")
    named_only = "by" in source.data
    if not url or (named_only and not _may_see(file, source.data["by"], source.data.get("in", ""))):
        raise DownloadFailed(reason="not_visible")
    return Download(quote(url, safe=_URL_SAFE), {"Authorization": f"Bearer {token}"}, (*SLACK_HOSTS, *hosts))


def _refuse_unusable(file: dict[str, Any]) -> None:
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
