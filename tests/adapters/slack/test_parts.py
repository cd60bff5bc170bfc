"""Parts without I/O: blocks, forms, translation, settings, logs."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from adapters.slack.connection.log_redaction import sdk_logger
from adapters.slack.inbound import translate as t
from adapters.slack.inbound.translate import Origin
from adapters.slack.inbound.user_cache import UserCache
from adapters.slack.outbound.api_client import SlackApi, Team
from adapters.slack.outbound.errors import SlackRefused, delivery_error
from adapters.slack.outbound.files import _may_see
from adapters.slack.outbound.lost_posts import finish_despite_cancel
from adapters.slack.outbound.streaming import last_chunks, task_chunks
from adapters.slack.settings import Settings
from adapters.slack.setup.manifest import GROUPS_SCOPE
from adapters.slack.views import messages as render
from adapters.slack.views import upscale_form as modal
from adapters.slack.views.card import draw
from core.domain.errors import DeliveryUnavailable, leaves
from core.domain.job import Delivery, Progress, Requester
from core.domain.models import MODELS
from core.presentation import LANGUAGES, Action, Notice, notice_card
from core.presentation.cards.account import OwnSettings, privacy
from core.presentation.cards.details import details
from tests.emulators.slack.blocks import check_blocks, check_view
from tests.emulators.slack.reading import mentions
from tests.fakes.cards import job as finished_job
from tests.fakes.clock import HandClock

WHERE = Origin("T1", "", "U1", "anna", "C1", "general", at=1.0)
JOB = replace(finished_job(), requester=Requester("slack", "U1", "anna", "T1", "C1"))


# ------------------------------------------------------------------------------- blocks


@given(st.text(max_size=4000), st.text(max_size=300), st.text(max_size=200))
def test_whatever_the_caption_names_and_files_say_the_blocks_are_valid_and_ping_nobody(
    caption: str, name: str, person: str
) -> None:
    assert JOB.result is not None
    job = replace(
        JOB,
        result=replace(JOB.result, caption=caption),
        source=replace(JOB.source, name=name),
        requester=replace(JOB.requester, user_name=person),
    )
    for content in (
        render.result(job, (), Delivery("original"), image_id="F1"),
        render.working(job, Progress("upscaling", percent=40, eta_at=99.0)),
        render.question(job),
        render.failure(job, Notice(name or "x", advice=caption[:500], reference=job.id)),
    ):
        assert check_blocks(content.blocks, "message") == []
        args = content.as_args()
        assert mentions(args["blocks"], args["text"]) == []


@pytest.mark.parametrize("locale", LANGUAGES)
def test_every_view_is_valid_in_every_language(locale: str) -> None:
    for origin in (WHERE, Origin("T1", "", "U1")):
        assert (
            check_view(
                modal.form(
                    origin, locale, allow_unsafe=True, own=OwnSettings({"factor": 3.0}, {"logo": {"factor": 4.0}})
                ),
                home=False,
            )
            == []
        )
    files = [{"id": f"F0{n}234567AB", "name": "снимок" * 20, "original_w": 4000, "original_h": 3000} for n in range(10)]
    assert check_view(modal.form(WHERE, locale, allow_unsafe=False, pick=files), home=False) == []
    home = render.home(locale, None, [JOB] * 10, OwnSettings({"factor": 3.0}, {"logo": {"factor": 4.0}}), MODELS)
    assert check_view(home, home=True) == []
    service: Any = SimpleNamespace(models=MODELS, play_money=True, confirm_above_nanousd=1)
    for content in (
        draw(render.help_of(service, "/upscale", locale, moderator=True)),
        render.history([JOB, replace(JOB, images_deleted=True)], locale),
        draw(privacy(locale, keep_days=7)),
        draw(render.settings(OwnSettings(), "/upscale", locale, MODELS)),
    ):
        assert check_blocks(content.blocks, "ephemeral") == []
    for view in (modal.defaults_form(locale, {"factor": 3.0}), modal.details_modal(locale, details(JOB, locale))):
        assert check_view(view, home=False) == []


def test_every_error_of_the_tree_has_a_message_that_slack_accepts() -> None:
    for leaf in leaves():
        offer = Action("factor", "Upscale 1.6× instead", argument="1.6", style="primary")
        said = Notice(leaf.__name__, "Not charged.", "Try again.", "abc", opens_at=99.0, offers=(offer,))
        content = draw(notice_card(said, "en", job_id="abc123def456"))
        assert check_blocks(content.blocks, "ephemeral") == []


@pytest.mark.parametrize("error", ["org_login_required", "team_added_to_org"])
def test_a_workspace_that_moves_into_an_organisation_is_tried_again_later(error: str) -> None:
    assert isinstance(delivery_error(SlackRefused(error)), DeliveryUnavailable)


def test_tasks_go_from_stage_to_stage_and_are_complete_at_the_end() -> None:
    shown: dict[str, str] = {}
    seen: list[tuple[str, str]] = []
    for stage in ("preparing", "waiting", "upscaling", "upscaling", "delivering"):
        chunks, shown = task_chunks(JOB, Progress(stage), shown)
        seen += [(c["id"], c["status"]) for c in chunks]
    seen += [(c["id"], c["status"]) for c in last_chunks(JOB, shown, succeeded=True, output="x" * 500)]
    for stage in ("preparing", "waiting", "upscaling", "delivering"):
        assert [status for name, status in seen if name == f"{JOB.id}:{stage}"] == ["in_progress", "complete"]
    assert len(last_chunks(JOB, shown, succeeded=True, output="x" * 500)[-1]["output"]) == 256


# -------------------------------------------------------------------------- translation


@pytest.mark.parametrize(
    ("link", "file"),
    [
        ("https://acme.slack.com/files/U0ANNA0001/F0ABC123/photo.png", "F0ABC123"),
        ("https://acme.enterprise.slack.com/files/W1/F9/x.png?a=b", "F9"),
        ("https://files.slack.com/files-pri/T1-F0ABC123/download/photo.png", "F0ABC123"),
        ("https://acme.slack.com.evil.example/files/U1/F1/x.png", ""),
        ("https://example.com/files/U1/F1/x.png", ""),
    ],
)
def test_only_real_slack_file_links_become_files(link: str, file: str) -> None:
    source = t.link_source(link, WHERE)
    assert source.data.get("file", "") == file
    assert source.kind == ("attachment" if file else "link")


def test_the_same_post_has_the_same_key_however_it_arrives() -> None:
    assert t.job_key("T1", "post-C1-1.2", "F1") == "slack:T1:post-C1-1.2:F1"


async def test_user_groups_that_slack_lists_slowly_count_as_soon_as_they_are_known() -> None:
    listed = asyncio.Event()

    async def call(_: Team, method: str, **__: Any) -> dict[str, Any]:
        if method == "users.info":
            return {"user": {"id": "U1", "is_admin": True}}
        await listed.wait()
        return {"usergroups": [{"id": "S1", "users": ["U1"]}, {"id": "S2", "users": ["U2"]}, {"id": "S3"}]}

    users = UserCache(cast(SlackApi, SimpleNamespace(call=call, granted_scopes={"T1": {GROUPS_SCOPE}})), HandClock())
    first = await users.get(Team("T1"), "U1", timeout_s=0.01)
    assert (first.is_admin, first.groups) == (True, ())
    listed.set()
    assert (await users.get(Team("T1"), "U1")).groups == ("S1",)


# ------------------------------------------------------------------------------ settings


def test_nothing_set_means_slack_is_not_started() -> None:
    assert not Settings().enabled


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"slack_bot_token": "xoxb-1"}, "SLACK_APP_TOKEN"),
        ({"slack_app_token": "xapp-1"}, "SLACK_BOT_TOKEN"),
        (
            {"slack_bot_token": "xapp-1", "slack_app_token": "xapp-1"},
            "SLACK_BOT_TOKEN holds a token for SLACK_APP",
        ),
        (
            {"slack_bot_token": "xoxb-1", "slack_app_token": "xoxb-1"},
            "SLACK_APP_TOKEN holds a token for SLACK_BOT",
        ),
        ({"slack_bot_token": "hello", "slack_app_token": "xapp-1"}, "SLACK_BOT_TOKEN does not look right"),
        ({"slack_client_id": "1", "slack_signing_secret": "s"}, "belong together"),
        ({"slack_command": "Up Scale"}, "SLACK_COMMAND"),
    ],
)
def test_what_is_missing_or_wrong_is_said_in_one_sentence(values: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence) as caught:
        Settings.model_validate(values)
    assert "xoxb-1" not in str(caught.value.errors(include_input=False))


@pytest.mark.parametrize(("link", "file"), [
    ("http://127.0.0.1:9/files-pri/T1-F2/download/a.png", "F2"),
    ("http://127.0.0.1:9/files/U1/F2/a.png?x=1", "F2"),
    ("http://127.0.0.1:9/files/U1/F2", "F2"),
    ("http://127.0.0.1:9/elsewhere/a.png", ""),
    ("http://127.0.0.1:8/files/U1/F2/a.png", ""),
    ("http://127.0.0.1:9@evil.example/files/U1/F2/a.png", ""),
])  # fmt: skip
def test_files_of_a_configured_host_are_slacks_own(link: str, file: str) -> None:
    source = t.link_source(link, WHERE, {"127.0.0.1:9"})
    assert source.data.get("file", "") == file


@pytest.mark.parametrize(("file", "seen"), [
    ({"user": "U1", "is_public": False}, True),
    ({"user": "U2", "is_public": True, "channels": ["C9"]}, True),
    ({"user": "U2", "is_public": False, "shares": {"private": {"G1": []}}}, True),
    ({"user": "U2", "is_public": False, "groups": ["G1"]}, True),
    ({"user": "U2", "is_public": False, "shares": {"private": {"G2": []}}}, False),
    ({"user": "U2", "is_public": False, "ims": ["D2"]}, False),
    ({"user": "U2", "shares": {"private": {"G2": []}}}, False),
    ({"id": "F1"}, True),
])  # fmt: skip
def test_naming_a_private_file_of_others_is_not_enough_to_get_it(file: dict[str, Any], seen: bool) -> None:
    assert _may_see(file, "U1", "G1") is seen


def test_the_sdks_log_lines_hold_no_link_token_or_body(caplog: pytest.LogCaptureFixture) -> None:
    logger = sdk_logger("test")
    with caplog.at_level(logging.WARNING):
        try:
            raise ValueError("wss://wss.slack.com/link?ticket=abc xoxb-1-secret")
        except ValueError as error:
            logger.exception(f"Failed to connect (error: {error}); body: {{'text': 'private words'}}")
        logger.warning("Unhandled request ({'text': 'private words'})")
    for hidden in ("ticket", "xoxb", "private words", "wss://"):
        assert hidden not in caplog.text


# ------------------------------------------------------------------- seen through


@pytest.mark.parametrize(("leaves", "kept"), [(True, "1.23"), (False, "never left")])
async def test_a_post_that_has_left_is_noted_though_its_caller_is_cancelled_and_any_other_dropped(
    leaves: bool, kept: str
) -> None:
    noted: list[str] = []
    answered = asyncio.Event()

    async def post(on_sending: Callable[[], None]) -> str:
        if leaves:
            on_sending()
        await answered.wait()
        return "1.23"

    async def keep(ts: str) -> None:
        noted.append(ts)

    async def on_failed() -> None:
        noted.append("never left")

    task = asyncio.create_task(finish_despite_cancel(post, keep, on_failed))
    for _ in range(2):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    if leaves:
        answered.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert noted == [kept]
