"""Turn the files, links and words of a member's action into jobs.

Decides nothing about parameters or images: it asks the core and passes on the answer.
"""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from adapters.slack.context import HandlerContext
from adapters.slack.inbound import batches
from adapters.slack.inbound import translate as t
from adapters.slack.inbound.translate import ImageRequest, Origin
from core.domain.errors import InvalidParameters, NoImage
from core.domain.job import Requester, Source, UpscaleRequest
from core.domain.parameters.grammar import parse
from core.domain.parameters.ordinary_words import without_ordinary_words
from core.domain.parameters.spec import Presets
from core.presentation.texts.request_texts import left_out_text

MAX_IMAGES = 10
USER_LOOKUP_S = 1.5
"""Time limit for `users.info` of an unknown user before a job is stored; after it the job goes on in English.

Leaves one of Slack's three seconds to store the job; Slack redelivers an event that is not stored by then.
"""


async def submit(ctx: HandlerContext, request: ImageRequest) -> None:
    """Start the images, ask which of several, or explain why not. Raises NotShown."""
    actor = await ctx.actor(request.origin, timeout_s=USER_LOOKUP_S)
    try:
        presets = await ctx.service.accounts.presets(actor)
        if request.has_prose:
            names = {*presets, *ctx.service.models.ids}
            request = replace(request, text=without_ordinary_words(request.text, names))
        sources, private = _sources(ctx, request, presets)
        if not sources:
            raise NoImage
        requests = [_request(request, actor, *source, private) for source in sources[:MAX_IMAGES]]
        asked = len(requests) > 1 and await batches.start_or_ask(ctx, request, requests)
        if len(requests) == 1:
            await ctx.service.request(requests[0])
        if words := left_out_text(len(requests), len(sources), (), actor.locale, offered=asked):
            await answer_once(ctx, request, partial(ctx.answer, request.place, words), "left_out")
    except batches.NotShown:
        raise
    except Exception as error:
        refusal = partial(ctx.answer_refusal, request.place, error, actor.locale)
        await answer_once(ctx, request, refusal, request.edited_ts)


def _sources(ctx: HandlerContext, request: ImageRequest, presets: Presets) -> tuple[list[tuple[str, Source]], bool]:
    """(stable name, source) of every image, and whether the text or the form asks for a private result."""
    found = [_message_source(ctx, number, file, request.origin) for number, file in enumerate(request.files)]
    links, private = list(request.links), bool(request.private)
    try:
        parsed = parse(request.text, {}, ctx.service.models, presets=presets, lenient=True)
        links += parsed.links
        private = private or (request.private is None and bool(parsed.private))
    except InvalidParameters:
        if not found:
            raise
        # The core reports it, or already knows the job from before the message was edited.
    named = ((f"link{number}", link) for number, link in enumerate(links))
    found += [(name, t.link_source(link, request.origin, ctx.own_hosts)) for name, link in named]
    return found, private


def _message_source(ctx: HandlerContext, number: int, picture: Mapping[str, Any], origin: Origin) -> tuple[str, Source]:
    """An image of a message: a file by its id, or the link of an image block or unfurled link."""
    if picture.get("id"):
        return str(picture["id"]), t.file_source(picture, origin)
    source = t.link_source(str(picture.get("link") or ""), origin, ctx.own_hosts)
    return f"seen{number}", replace(source, name=str(picture.get("name") or "") or source.name)


def _request(request: ImageRequest, actor: Requester, item: str, source: Source, private: bool) -> UpscaleRequest:
    return UpscaleRequest(
        key=t.job_key(request.origin.team_id, request.event, item),
        requester=actor,
        source=source,
        reply=t.address(request.origin, private=private, thread_ts=request.thread_ts),
        text=request.text,
        fields=request.fields,
        private=private,
        unsafe_place=True,  # Slack has no age-restricted channels: only the operator's rule applies
    )


async def answer_once(
    ctx: HandlerContext, request: ImageRequest, answer: Callable[[], Coroutine[Any, Any, Any]], *about: str
) -> None:
    """Call `answer`, before an event is acknowledged, else after it; `about` tells several answers apart."""
    if request.redeliverable:
        await ctx.answer_once(":".join(filter(None, (request.origin.team_id, request.event, *about))), answer)
    else:
        ctx.tasks.spawn("answer", answer())
