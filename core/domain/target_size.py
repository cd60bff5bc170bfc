"""The factor for a wanted size or amount, once the picture's own size is known. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from core.domain.errors import TargetUnreachable
from core.domain.models import ModelSpec
from core.domain.money import factor_within, output_size
from core.domain.parameters.sizes import factor_for, target_of
from core.domain.parameters.spec import Parameters


@dataclass(frozen=True, slots=True)
class Aim:
    """What the model is asked for (`factor`), and the size that its picture is reduced to; `dpi` of a print."""

    factor: float
    width_px: int
    height_px: int
    dpi: int | None = None


def aim(
    parameters: Parameters,
    model: ModelSpec,
    width_px: int,
    height_px: int,
    unit_price_nanousd: int,
    *,
    largest: Callable[[float], float | None],
    others: Iterable[ModelSpec] = (),
) -> Aim:
    """How a picture gets the size that was asked for. `largest`: the largest factor below one that all limits allow.

    Raises TargetUnreachable, with what would work instead.
    """
    if parameters.to is None:
        return Aim(parameters.factor, *output_size(width_px, height_px, parameters.factor))
    target = target_of(parameters.to)
    if target.max_nanousd is not None:
        return _within(target.max_nanousd, parameters, model, width_px, height_px, unit_price_nanousd, largest)
    out = target.box(width_px, height_px)
    reason: Literal["already_larger", "beyond_model"] = "beyond_model"
    if target.scale(width_px, height_px) <= 1 or out == (width_px, height_px):
        reason, able, offer = "already_larger", "", largest(min(2.0, model.largest_factor))
    elif (factor := factor_for(width_px, height_px, out, model.largest_factor)) is not None:
        return Aim(factor, *out, target.dpi)
    else:
        able = next((other.id for other in others if factor_for(width_px, height_px, out, other.largest_factor)), "")
        offer = largest(model.largest_factor)
    raise TargetUnreachable(
        reason=reason,
        target=target.text,
        width_px=width_px,
        height_px=height_px,
        model=model.id,
        largest_factor=offer,
        other_model=able,
    )


def _within(
    amount_nanousd: int,
    parameters: Parameters,
    model: ModelSpec,
    width_px: int,
    height_px: int,
    unit_price_nanousd: int,
    largest: Callable[[float], float | None],
) -> Aim:
    bound = largest(model.largest_factor)
    units = amount_nanousd // unit_price_nanousd if unit_price_nanousd > 0 else 10**9
    factor = factor_within(width_px, height_px, units, below=bound) if bound is not None else None
    if factor is None:
        raise TargetUnreachable(
            reason="amount",
            target=str(parameters.to),
            width_px=width_px,
            height_px=height_px,
            model=model.id,
            largest_factor=None,
        )
    return Aim(factor, *output_size(width_px, height_px, factor))
