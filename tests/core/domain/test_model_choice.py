"""Which model is taken where a request names none."""

import pytest

from core.domain.errors import InvalidParameters
from core.domain.models import ALL, MODELS
from core.domain.parameters.grammar import parse


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("3x", "local"),
        ("/upscale 3x creativity=0.5", "flux"),
        ("factor: 2.5 --steps 30 seed=42", "flux"),
        ("faithful", "flux"),
        ("seedvr2 seed=5", "seedvr2"),
    ],
)
def test_without_a_key_an_imitated_model_takes_what_this_machines_own_lacks(text: str, model: str) -> None:
    offered = ALL.for_provider("sandbox", ("local", *MODELS.ids))
    assert offered.resolve(parse(text, {}, offered)).model == model


@pytest.mark.parametrize("listed", [("local", "flux"), ("seedvr2", "flux")])
def test_no_dearer_model_is_taken_because_of_an_input_and_neither_is_one_beside_a_named_model(
    listed: tuple[str, str],
) -> None:
    offered = ALL.for_provider("fal", listed)
    for text in ("creativity=0.5", f"{listed[0]} creativity=0.5"):
        with pytest.raises(InvalidParameters) as caught:
            parse(text, {}, offered)
        assert [problem.kind for problem in caught.value.problems] == ["not_in_model"]
