"""The message of one job, from the price question to the result or failure. Pure.

`shared`: others read the message too, so it does not reveal the member's budget. `named`: the platform itself shows
who asked; a shared card names the requester otherwise.
"""

from dataclasses import replace

from core.domain import errors as e
from core.domain.job import Delivery, Job, JobState, Progress, Quote
from core.domain.limits import LimitStatus, Measure
from core.domain.money import quote as priced
from core.domain.variations import previewed_job_id
from core.presentation.card import Action, Card, Confirmation, Line, Mention, Moment, Picture, Strong, fill, lines
from core.presentation.formats import cents, factor_text, labelled, percent, with_price
from core.presentation.notices import Notice, notice_lines, offer_actions, reference_line
from core.presentation.texts import delivery_texts, price_texts, progress_texts, result_texts
from core.presentation.texts.limit_texts import left_text
from core.presentation.texts.parameter_texts import model_name
from core.presentation.translations import joined, tr

ALT_MAX_CHARS = 1000


def price_question(job: Job, locale: str, *, shared: bool = False, named: bool = True) -> Card:
    """The price, with a button to accept it. Raises ValueError for a job without a quote."""
    if job.quote is None:
        raise ValueError("a price is asked only when there is a quote")
    price = price_texts.price_line(job.quote, locale)
    actions = _question_actions(job, job.quote, locale)
    ends: tuple[Line, ...] = ()
    if job.confirm_by_at is not None:
        ends = (fill(tr("Expires {time}.", locale), time=Moment(job.confirm_by_at)),)
    return Card(
        "question",
        tr("Start this upscale?", locale),
        job.source.name,
        paragraphs=lines(price, "" if shared else left_text(job.quote.left, locale)),
        small=(
            *ends,
            *lines(result_texts.parameters_line(job, locale), result_texts.source_text(job, locale)),
            *_requester(job, locale, shared and not named),
        ),
        rows=(actions,),
        summary=" · ".join(part for part in (job.source.name, price) if part),
    )


def _question_actions(job: Job, quote: Quote, locale: str) -> tuple[Action, ...]:
    """Buttons to accept the price, to choose another model, to preview a part (each with its price), and to cancel."""
    start = tr("Start for {price}", locale, price=cents(quote.estimate_nanousd, locale))
    if quote.others:
        start = with_price(model_name(job.parameters.model, locale), quote.estimate_nanousd, locale)
    actions = [Action("confirm", start, job.id, style="success")]
    actions += [
        Action("model", with_price(model_name(model, locale), cost, locale), job.id, model, "primary")
        for model, cost in quote.others
    ]
    if quote.preview_nanousd:
        preview = with_price(tr("Preview", locale), quote.preview_nanousd, locale)
        actions.append(Action("preview", preview, job.id))
    return (*actions, Action("cancel", tr("Cancel", locale), job.id))


def working(
    job: Job, progress: Progress, locale: str, *, shared: bool = False, named: bool = True, ends_at: float | None = None
) -> Card:
    """The job while it runs; it cannot be cancelled once its image is made.

    `ends_at` (unix seconds) is when this message can no longer be edited; the card says so if the job ends later.
    """
    stage = progress_texts.stage_text(progress, locale)
    eta = progress.eta_at if progress.stage in ("waiting", "upscaling") else None
    ready = () if eta is None else (fill(tr("Ready {time}", locale), time=Moment(eta)),)
    late = eta is not None and ends_at is not None and eta > ends_at
    return Card(
        "working",
        tr("Upscaling {factor}", locale, factor=factor_text(job.parameters.factor, locale)),
        job.source.name,
        bar=_progress_share(progress),
        paragraphs=(*_stage_below_title(progress, stage, locale), *ready),
        small=(
            *lines(
                tr("If it takes longer than that, the image will be in /history.", locale) if late else "",
                price_texts.price_line(job.quote, locale) if job.quote is not None else "",
            ),
            *_requester(job, locale, shared and not named),
        ),
        rows=() if progress.stage == "delivering" else ((Action("cancel", tr("Cancel", locale), job.id),),),
        summary=_with_file_name(job, stage, locale),
    )


def received(job: Job, locale: str, *, shared: bool = False, named: bool = True) -> Card:
    """A text that stays true whatever happens: for a message that cannot be found again if its post is not answered."""
    text = tr("Your image has arrived. The result comes in a message of its own.", locale)
    return Card(
        "working",
        name=job.source.name,
        paragraphs=lines(text),
        small=_requester(job, locale, shared and not named),
        rows=((Action("dismiss", tr("Dismiss", locale), job.id),),),
        summary=_with_file_name(job, text, locale),
    )


def no_longer_updated(job: Job, locale: str, *, shared: bool = False, named: bool = True) -> Card:
    """The final text of a message that can no longer be edited while its job runs. True however the job ends."""
    text = tr(
        "This message can't be updated any longer. The result comes to you as a direct message, or waits in /history.",
        locale,
    )
    small = _requester(job, locale, shared and not named)
    return Card(
        "info", name=job.source.name, paragraphs=lines(text), small=small, summary=_with_file_name(job, text, locale)
    )


def _stage_below_title(progress: Progress, stage: str, locale: str) -> tuple[Line, ...]:
    """The stage; only the percentage while upscaling, because the title already says that."""
    if progress.awaits is not None:
        until = Moment(progress.until_at or 0.0, "date_time")
        return (fill(progress_texts.awaiting_text(progress.awaits, locale), time=until),)
    if progress.stage != "upscaling":
        return lines(stage)
    return lines(percent(progress.percent / 100, locale)) if progress.percent is not None else ()


def _with_file_name(job: Job, text: str, locale: str) -> str:
    return labelled(job.source.name, text, locale) if job.source.name else text


def _progress_share(progress: Progress) -> float | None:
    if progress.stage == "delivering":
        return 1.0
    return progress.percent / 100 if progress.stage == "upscaling" and progress.percent is not None else None


def result(
    job: Job,
    left: tuple[LimitStatus, ...],
    delivery: Delivery,
    locale: str,
    *,
    shared: bool = False,
    named: bool = True,
    can_share: bool = False,
) -> Card:
    """The finished image, its facts and cost, and buttons. `can_share`: results can be shared by a public link."""
    size = result_texts.size_line(job, locale)
    factor = factor_text(result_texts.reached_factor(job), locale)
    part = bool(previewed_job_id(job))
    title = " · ".join((tr("Preview", locale), factor)) if part else tr("Upscaled {factor}", locale, factor=factor)
    beside = result_texts.comparison_text(job, 1, locale) if part and delivery.shape != "page" else ""
    actions = (*_view_actions(job, locale, can_share=can_share), *_download(job, locale))
    return Card(
        "done",
        title,
        job.source.name,
        pictures=(
            Picture("result", result_texts.alt_text(job, locale, max_chars=ALT_MAX_CHARS), job.spoiler),
            Picture("file", spoiler=job.spoiler),
        ),
        caption=job.result.caption.strip() if job.result is not None else "",
        paragraphs=((Strong(size),),) if size else (),
        small=(
            *lines(
                beside,
                result_texts.parameters_line(job, locale),
                price_texts.receipt_line(job, () if shared else left, locale),
                result_texts.notes_text(job, locale),
                delivery_texts.delivery_text(delivery, locale),
            ),
            *_requester(job, locale, shared and not named),
        ),
        rows=tuple(row for row in (repeat_actions(job, left, locale), actions) if row),
        summary=labelled(job.source.name or title, size, locale) if size else title,
    )


def _requester(job: Job, locale: str, shown: bool) -> tuple[Line, ...]:
    who = job.requester
    return (fill(tr("For {member}", locale), member=Mention("user", who.user_id, who.user_name)),) if shown else ()


def repeat_actions(job: Job, left: tuple[LimitStatus, ...], locale: str) -> tuple[Action, ...]:
    """Buttons that start a new job, each with its price, without those that cost more than what is `left`."""
    money = min((status.left for status in left if status.limit.measure is Measure.USD), default=None)

    def within(price: int | None, *actions: Action) -> tuple[Action, ...]:
        return actions if money is None or not price or price <= money else ()

    quote, made = job.quote, job.result
    same = quote.estimate_nanousd if quote is not None else None
    twice = None
    if quote is not None and made is not None:
        twice = priced(made.width_px, made.height_px, 2.0, quote.unit_price_nanousd).estimate_nanousd
    again = Action("again", with_price(tr("Again", locale), same, locale), job.id, style="primary")
    creative = Action("more_creative", with_price(tr("More creative", locale), same, locale), job.id)
    faithful = Action("more_faithful", with_price(tr("More faithful", locale), same, locale), job.id)
    free = (creative,) if job.parameters.creativity is not None else ()
    if quote is not None and quote.whole_nanousd:  # this job was a preview
        words = with_price(tr("Whole picture", locale), quote.whole_nanousd, locale)
        whole = within(quote.whole_nanousd, Action("whole", words, job.id, style="success"))
        return (*whole, *within(same, *((faithful,) if free else ()), *free))
    more = Action("twice_more", with_price(tr("2× more", locale), twice, locale), job.id)
    return (*within(same, again, *free), *within(twice, more))


def _view_actions(job: Job, locale: str, *, can_share: bool) -> tuple[Action, ...]:
    share = (Action("share", tr("Share", locale), job.id),) if can_share else ()
    return (
        Action("compare", tr("Compare", locale), job.id),
        Action("details", tr("Details", locale), job.id),
        *share,
        delete_action(job.id, locale),
    )


def delete_action(job_id: str, locale: str) -> Action:
    sure = Confirmation(
        tr("Delete this image?", locale),
        joined(
            tr("The original and the result are deleted for good, here and at the upscaling service.", locale),
            tr("The charge stands.", locale),
        ),
        tr("Delete", locale),
        tr("Keep", locale),
    )
    return Action("delete", tr("Delete", locale), job_id, style="danger", confirmation=sure)


def _download(job: Job, locale: str) -> tuple[Action, ...]:
    url = job.result.link if job.result is not None else None
    return (Action("open_link", result_texts.full_file_text(locale), job.id, url=url),) if url else ()


def failed(job: Job, notice: Notice, locale: str, *, shared: bool = False) -> Card:
    title = {
        JobState.CANCELLED: tr("Cancelled", locale),
        JobState.REFUSED: tr("Not started", locale),
    }.get(job.state, tr("Upscale failed", locale))
    chosen = job.error.model if isinstance(job.error, e.OtherModelChosen) else ""
    if chosen == job.parameters.model:
        title = tr("Whole picture", locale)
    elif chosen:
        title = tr("Changed to {model}", locale, model=model_name(chosen, locale))
    if chosen or job.state is JobState.REFUSED:
        notice = replace(notice, charged="")  # what did not start was not charged
    if shared and notice.in_public:
        notice = replace(notice, what=notice.in_public)
    paragraphs = notice_lines(notice, locale)
    if job.state is JobState.CANCELLED and job.error is None:
        paragraphs = paragraphs[1:]  # the title says it
    offers = offer_actions(notice, job.id)
    price = job.quote.estimate_nanousd if job.quote is not None else None
    if job.images_deleted or chosen:
        pass  # there is nothing to start again
    elif job.state is JobState.CANCELLED:
        offers += (Action("again", with_price(tr("Again", locale), price, locale), job.id),)
    elif notice.tone == "error" and not _is_final(job.error):
        offers += (Action("same", with_price(tr("Try again", locale), price, locale), job.id),)
    return Card(
        notice.tone,
        title,
        job.source.name,
        paragraphs=paragraphs,
        small=reference_line(notice.reference, locale),
        rows=(offers,) if offers else (),
        summary=_with_file_name(job, notice.text, locale),
    )


def _is_final(error: e.UpscaleError | None) -> bool:
    """Whether the same image with the same values would be refused again."""
    if isinstance(error, e.ImageRejected):
        return error.reason != "download"
    return isinstance(error, (e.ContentRejected, e.InvalidForModel))


def closed(job: Job, notice: Notice, locale: str) -> Card:
    """The job's message when the image is not in it: `notice` says where it is and how to get it."""
    actions: tuple[Action, ...] = ()
    if not job.images_deleted:
        actions = (Action("details", tr("Details", locale), job.id),)
        if job.delivery is None or job.delivery.shape == "kept":
            actions += (Action("redeliver", delivery_texts.send_again_text(locale), job.id),)
        actions += _download(job, locale)
    upscaled = tr("Upscaled {factor}", locale, factor=factor_text(result_texts.reached_factor(job), locale))
    return Card(
        "info",
        tr("Cancelled", locale) if job.state is JobState.CANCELLED else upscaled,
        job.source.name,
        paragraphs=notice_lines(notice, locale),
        small=reference_line(notice.reference, locale),
        rows=(actions,) if actions else (),
        summary=_with_file_name(job, notice.text, locale),
    )
