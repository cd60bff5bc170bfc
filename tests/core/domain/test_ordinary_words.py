"""Words around parameters are no mistake; what looks like a parameter is."""

import pytest

from core.domain.errors import InvalidParameters
from core.domain.parameters.grammar import parse
from core.domain.parameters.ordinary_words import without_ordinary_words


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("<@42> please upscale this, 3x, thanks", "<@42> 3x,"),
        ("Could you make it creative? :heart: <:wow:123>", "creative?"),
        ("hello there, what a nice picture", ""),
        ("bitte in faithful und private!", "faithful private!"),
        ("look https://example.org/a.png factor=2 cheers", "https://example.org/a.png factor=2"),
        ("upscale", ""),
        ("creativity 0.5 please", "creativity 0.5"),
        ("safety off", "safety off"),
    ],
)
def test_ordinary_words_are_left_out(said: str, left: str) -> None:
    assert without_ordinary_words(said) == left
    parse(left)


@pytest.mark.parametrize(
    "said", ["please creativty 2", "make it sharpness=3", "thanks, stepz", "what about 99 bananas"]
)
def test_what_looks_like_a_parameter_is_still_a_mistake(said: str) -> None:
    with pytest.raises(InvalidParameters):
        parse(without_ordinary_words(said))
