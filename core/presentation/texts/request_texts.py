"""Replies to a message, command or choice of images that starts nothing, or not everything."""

from collections.abc import Sequence
from functools import partial

from core.domain.parameters.spec import translatable
from core.presentation.translations import tr, translated

choose_images_text = partial(
    translated, translatable("Choose one or more, or take all. Each result is a separate message.")
)


def thread_unreadable_text(scope: str, locale: str) -> str:
    missing = tr("I can't see the messages above: that needs the permission {scope}.", locale, scope=scope)
    return f"{missing} " + tr("Attach the image itself instead.", locale)


def groups_unreadable_text(scope: str, locale: str) -> str:
    return tr("I can't see who is in a user group: that needs the permission {scope}.", locale, scope=scope)


def left_out_text(
    started: int,
    total: int,
    others: Sequence[str],
    locale: str,
    *,
    offered: bool = False,
    unreadable: Sequence[str] = (),
) -> str:
    """Images beyond those that were `started` (or `offered` to choose from), and names of files that are not images.

    `unreadable` names (possibly "") count in `total`. Empty if nothing was left out.
    """
    lines = []
    if total - len(unreadable) > started:
        lines.append(
            tr("{n} of {total} can be chosen here.", locale, n=started, total=total)
            if offered
            else tr("{n} of {total} started; more at once are not possible.", locale, n=started, total=total)
        )
    elif unreadable and not offered:
        lines.append(tr("{n} of {total} started.", locale, n=started, total=total))
    if unreadable:
        names = ", ".join(name or tr("a file without a name", locale) for name in unreadable)
        lines.append(tr("Could not be read: {names}", locale, names=names))
    if others:
        lines.append(tr("Not an image, so left alone: {names}", locale, names=", ".join(others)))
    return "\n".join(lines)


reply_hint_text = partial(translated, translatable("To upscale that image, reply with “upscale” or, for example, 3x."))
"""The reply to a mention with an image but without a request."""


outdated_command_text = partial(
    translated, translatable("This command has changed. Restart your Discord app, then use it again.")
)
"""The reply to a client that still shows the commands of an earlier version."""


def unreadable_request_text(locale: str) -> str:
    return tr("This could not be understood, and nothing was started. Please try again.", locale)
