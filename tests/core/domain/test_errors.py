"""The error tree: documented completely, and storable as JSON."""

import dataclasses
import json
import types
import typing
from decimal import Decimal
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from core.domain import errors
from core.domain.errors import InternalError, UpscaleError, from_json, leaves, to_json
from core.domain.limits import Limit, LimitStatus, Measure, Scope, ScopeKind, Window

STATUS = LimitStatus(
    Limit(Scope(ScopeKind.USER, "slack", "T1", "U1"), Measure.USD, Window.DAY, 5_000_000_000), 1, 2, 9.5
)


def _samples(hint: Any) -> list[Any]:
    """Sample values of a field's type that cover every alternative."""
    origin = get_origin(hint)
    if origin is Literal:
        return list(get_args(hint))
    if origin in (Union, types.UnionType):
        return [value for part in get_args(hint) for value in _samples(part)]
    if origin is tuple:
        return [tuple(_samples(part)[0] for part in get_args(hint) if part is not ...)]
    plain: dict[Any, list[Any]] = {
        str: ["ab"],
        int: [3],
        float: [1.5],
        bool: [True, False],
        type(None): [None],
        Decimal: [Decimal("1.25")],
        LimitStatus: [STATUS],
        errors.ParameterProblem: [errors.ParameterProblem("factor", "9", "range", "1–4", None)],
    }
    if hint in plain:
        return plain[hint]
    return [typing.cast(Any, value) for value in _from_core(hint)]


def _from_core(hint: Any) -> list[Any]:
    """Sample values for any other dataclass in a field."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = get_type_hints(hint)
        return [hint(**{field.name: _samples(hints[field.name])[0] for field in dataclasses.fields(hint)})]
    if isinstance(hint, type) and issubclass(hint, str):
        return list(hint)  # type: ignore[call-overload, no-any-return]
    raise AssertionError(f"no sample for {hint}")


def examples(leaf: type[UpscaleError]) -> list[UpscaleError]:
    """Errors of this class that cover every alternative of every field."""
    hints = get_type_hints(leaf)
    choices = {field.name: _samples(hints[field.name]) for field in dataclasses.fields(leaf)}
    rounds = max((len(values) for values in choices.values()), default=1)
    return [leaf(**{name: values[n % len(values)] for name, values in choices.items()}) for n in range(rounds)]


ALL = [error for leaf in leaves() for error in examples(leaf)]


STORED_CODES = """
    draining internal storage_unavailable restored
    invalid_parameters no_image storage_full unsafe_not_allowed not_allowed not_admitted job_not_found too_late
    quote_expired selection_closed other_model_chosen limit_not_set preset_refused platform_refused platform_busy
    limit_reached too_many_waiting paused ledger_unavailable
    not_an_image unsupported_format damaged_image file_too_large too_many_pixels image_too_small output_too_large
    target_unreachable image_too_costly flat_image link_refused download_failed
    image_rejected content_rejected invalid_for_model model_failed model_not_offered
    provider_halted provider_busy provider_unavailable submit_not_sent submit_unknown request_lost result_expired
    delivery_refused place_refused delivery_unavailable
"""
"""Databases and API clients hold these: a class may be renamed only if its code stays."""


def test_every_error_has_its_stored_code() -> None:
    assert sorted(leaf.code for leaf in leaves()) == sorted(STORED_CODES.split())


def test_the_drawing_in_the_docstring_is_the_tree() -> None:
    assert errors.__doc__ is not None
    for leaf in leaves():
        assert leaf.__name__ in errors.__doc__, leaf.__name__
        assert leaf.__doc__, leaf.__name__


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.code)
def test_every_error_survives_being_stored(error: UpscaleError) -> None:
    again = from_json(json.loads(json.dumps(to_json(error))))
    assert type(again) is type(error)
    assert to_json(again) == to_json(error)


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.code)
def test_an_error_shows_only_its_code_in_logs(error: UpscaleError) -> None:
    assert str(error) == error.code


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"code": "of_a_later_version", "facts": {}},
        {"code": "too_late", "facts": {}},
        {"code": "too_late", "facts": {"state": {"not": "text"}}},
        {"code": None},
    ],
)
def test_an_unreadable_stored_error_becomes_an_internal_error(stored: dict[str, Any]) -> None:
    assert isinstance(from_json(stored), InternalError)


def test_facts_of_a_later_version_are_ignored() -> None:
    stored = {"code": "too_late", "facts": {"state": "succeeded", "new": 1}}
    assert to_json(from_json(stored)) == {"code": "too_late", "facts": {"state": "succeeded"}}
