"""Rules of message and modal components that OpenAPI cannot say: counts, texts, references, unique ids."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from tests.emulators.discord.errors import ApiError, invalid_form
from tests.emulators.discord.world import IS_V2, Attachment

MAX_COMPONENTS = 40
MAX_TEXT = 4000
ROW, BUTTON, SELECT, SECTION, TEXT, THUMBNAIL, GALLERY, FILE, SEPARATOR, CONTAINER = 1, 2, 3, 9, 10, 11, 12, 13, 14, 17
SELECTS = {3, 5, 6, 7, 8}
Resolve = Callable[[Attachment], dict[str, Any]]


def walk(components: list[dict[str, Any]], path: str = "components") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every component with its path, nested ones and accessories included."""
    for index, component in enumerate(components):
        here = f"{path}.{index}"
        yield here, component
        yield from walk(component.get("components") or [], f"{here}.components")
        if component.get("accessory"):
            yield f"{here}.accessory", component["accessory"]
        if component.get("component"):
            yield f"{here}.component", component["component"]


def medias(component: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if component["type"] == GALLERY:
        yield from (item["media"] for item in component["items"])
    elif component["type"] == THUMBNAIL:
        yield component["media"]
    elif component["type"] == FILE:
        yield component["file"]


def check_message(components: list[dict[str, Any]], flags: int) -> None:
    """Raise 50035 unless Discord would take these components with these flags."""
    faults: list[tuple[str, str, str]] = []
    everything = list(walk(components))
    v2 = bool(flags & IS_V2)
    if v2 and not components:
        faults.append(("components", "BASE_TYPE_REQUIRED", "A Components V2 message needs components"))
    if v2 and len(everything) > MAX_COMPONENTS:
        faults.append(("components", "COMPONENT_MAX_TOTAL", f"{len(everything)} components, {MAX_COMPONENTS} allowed"))
    if not v2:
        faults += [(p, "UNION_TYPE_CHOICES", "needs IS_COMPONENTS_V2") for p, c in everything if c["type"] >= SECTION]
        if len(components) > 5:
            faults.append(("components", "BASE_TYPE_BAD_LENGTH", "Must be 5 or fewer in length."))
    text = sum(len(c.get("content", "")) for _, c in everything if c["type"] == TEXT)
    if text > MAX_TEXT:
        faults.append(("components", "COMPONENT_TEXT_TOO_LONG", f"{text} characters of text, {MAX_TEXT} allowed"))
    faults += _unique_ids(everything)
    for path, component in everything:
        faults += [(path, "COMPONENT_INVALID", text) for text in _check_one(component)]
    if faults:
        raise invalid_form(faults)


def _unique_ids(everything: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, str, str]]:
    seen: set[Any] = set()
    numbers: set[int] = set()
    faults = []
    for path, component in everything:
        custom_id, number = component.get("custom_id"), component.get("id")
        if custom_id is not None and custom_id in seen:
            faults.append((path, "COMPONENT_CUSTOM_ID_DUPLICATED", "Component custom id cannot be duplicated"))
        if number and number in numbers:
            faults.append((path, "COMPONENT_ID_DUPLICATED", "Component id cannot be duplicated"))
        seen.add(custom_id)
        numbers.add(number or 0)
    return faults


def _check_one(component: dict[str, Any]) -> Iterator[str]:
    kind = component["type"]
    if kind == ROW:
        inner = component["components"]
        if any(c["type"] in SELECTS for c in inner) and len(inner) > 1:
            yield "an action row holds up to five buttons or one select"
        if len(inner) > 5:
            yield "an action row holds up to five buttons"
    elif kind == BUTTON:
        yield from _check_button(component)
    elif kind == SELECT:
        values = [o["value"] for o in component["options"]]
        if len(set(values)) != len(values):
            yield "option values must be unique"
        if (component.get("max_values") or 1) > len(values):
            yield "max_values above the number of options"
    elif kind == TEXT and not component["content"].strip():
        yield "a text display may not be empty"
    elif kind == FILE and not component["file"]["url"].startswith("attachment://"):
        yield "a file component takes attachment:// only"


def _check_button(button: dict[str, Any]) -> Iterator[str]:
    style, url, custom_id = button["style"], button.get("url"), button.get("custom_id")
    if style == 5:
        if not url or custom_id:
            yield "a link button has a url and no custom_id"
        elif not re.match(r"(https?|discord)://", url):
            yield "Scheme must be one of ('http', 'https', 'discord')."
    elif style != 6 and (not custom_id or url):
        yield "a button has a custom_id and no url"
    if style != 6 and not button.get("label") and not button.get("emoji"):
        yield "a button needs a label or an emoji"


def resolve(components: list[dict[str, Any]], files: list[Attachment], resolved: Resolve) -> tuple[Any, set[int]]:
    """Components as a message object carries them, and the ids of the attachments that they consume.

    Raises 50035 when `attachment://` names a file that is not among the message's.
    """
    by_name = {a.filename: a for a in files}
    used: set[int] = set()
    faults: list[tuple[str, str, str]] = []

    def media(given: dict[str, Any], path: str) -> dict[str, Any]:
        url = given["url"]
        if not url.startswith("attachment://"):
            if not re.match(r"https?://", url):
                faults.append((path, "URL_TYPE_INVALID_SCHEME", f"bad media url {url!r:.60}"))
            return {"url": url, "proxy_url": url, "loading_state": 2}
        attachment = by_name.get(url.removeprefix("attachment://"))
        if attachment is None:
            code = "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND"
            faults.append((path, code, f"The referenced attachment {url!r} was not found"))
            return dict(given)
        used.add(attachment.id)
        return resolved(attachment)

    def copy(component: dict[str, Any], path: str) -> dict[str, Any]:
        out = dict(component)
        if component["type"] == GALLERY:
            out["items"] = [item | {"media": media(item["media"], path)} for item in component["items"]]
        elif component["type"] == THUMBNAIL:
            out["media"] = media(component["media"], path)
        elif component["type"] == FILE:
            out["file"] = media(component["file"], path)
        for key in ("components",):
            if component.get(key):
                out[key] = [copy(c, f"{path}.{key}.{i}") for i, c in enumerate(component[key])]
        if component.get("accessory"):
            out["accessory"] = copy(component["accessory"], f"{path}.accessory")
        return out

    out = [copy(c, f"components.{i}") for i, c in enumerate(components)]
    _number(out)
    if faults:
        raise invalid_form(faults)
    return out, used


def _number(components: list[dict[str, Any]]) -> None:
    """Discord gives every component without one an `id`, in order."""
    taken = {c.get("id") for _, c in walk(components)}
    following = 1
    for _, component in walk(components):
        if not component.get("id"):
            while following in taken:
                following += 1
            component["id"] = following
            following += 1


def check_modal(modal: dict[str, Any]) -> None:
    """Five top-level components (the documentation's word; OpenAPI's 40 is wrong), each with a unique id."""
    faults = []
    if len(modal["components"]) > 5:
        faults.append(("data.components", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length."))
    faults += _unique_ids(list(walk(modal["components"], "data.components")))
    for path, component in walk(modal["components"], "data.components"):
        low, high = component.get("min_length"), component.get("max_length")
        if low is not None and high is not None and low > high:
            faults.append((path, "COMPONENT_INVALID", "min_length above max_length"))
        if component["type"] == 4 and component.get("value") and high and len(component["value"]) > high:
            faults.append((path, "COMPONENT_INVALID", "value longer than max_length"))
    if faults:
        raise invalid_form(faults)


def forbid_legacy(body: dict[str, Any]) -> None:
    """A Components V2 message has no content, embeds, poll or stickers."""
    bad = [name for name in ("content", "embeds", "poll", "sticker_ids") if body.get(name)]
    if bad:
        code = "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2"
        raise invalid_form([(name, code, f"The '{name}' field cannot be used with components V2") for name in bad])


def cannot_unset_v2() -> ApiError:
    return invalid_form([("flags", "MESSAGE_FLAGS_V2_CANNOT_BE_REMOVED", "IS_COMPONENTS_V2 cannot be removed")])
