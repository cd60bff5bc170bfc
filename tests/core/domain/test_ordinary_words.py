"""Ordinary words around parameters are ignored; what looks like a parameter is reported."""

import pytest

from core.domain.errors import InvalidParameters
from core.domain.parameters.grammar import parse
from core.domain.parameters.ordinary_words import is_small_talk, without_ordinary_words


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("<@42> please upscale this, 3x, thanks", "<@42> 3x,"),
        ("Could you make it creative? :heart: <:wow:123>", "creative?"),
        ("3x :thumbsup::skin-tone-2: :すごい:", "3x"),
        ("hello there, what a nice picture", ""),
        ("bitte in faithful und private!", "faithful private!"),
        ("look https://example.org/a.png factor=2 cheers", "https://example.org/a.png factor=2"),
        ("upscale", ""),
        ("creativity 0.5 please", "creativity 0.5"),
        ("safety off", "safety off"),
        ("a random picture, seed random, seed = random", "seed random, seed = random"),
        ("I need this bigger, can I see it in 4 k, send it", "4k,"),
        ("**2x** ||creative|| (private)", "2x creative private"),
        ("<t:1618953630:R> </upscale:12> 2x for <mailto:a@b.c|a@b.c>", "2x"),
        ("[my picture](https://example.org/a.png) 3x", "https://example.org/a.png 3x"),
        ("upscale by 2 please", "2x"),
        ("make it 3 times larger", "3x"),
        ("3-fach bitte", "3x"),
        ("2,5 fois plus grand svp", "2,5x"),
        ("3倍に拡大してください", "3x"),
        ("2 x", "2x"),
        ("3840 x 2160 please", "3840x2160"),
        ("30 x 20 cm", "30x20cm"),
        ("30x20 cm please", "30x20cm"),
        ("30cmx20cm", "30x20cm"),
        ("30 cm x 20 cm", "30x20cm"),
        ("8″x10″", "8x10in"),
        ("3840px × 2160px", "3840x2160px"),
        ("640*480 please", "640x480"),
        ("8 × 10″ for grandma", "8x10in"),
        ("print it as A4 at 300 dpi", "A4@300dpi"),
        ("¿me la haces en A4 a 300 dpi?", "A4@300dpi?"),
        ("640x480 in colour", "640x480"),
        ("https://example.org/3 x 4", "https://example.org/3 4x"),
        ("これを2倍にして", "2x"),
        ("画像を４ｋにしてください。", "４ｋ"),
        ("「https://x.example/a.png」を2倍にして", "https://x.example/a.png 2x"),
        ("（https://x.example/a.png）、お願いします", "https://x.example/a.png"),
        ("<https://x.example/「a」。png> 2x", "<https://x.example/「a」。png> 2x"),
        ("https://x.example/写真2x.png", "https://x.example/写真2x.png"),
        ("not more than max 50 cents please", "max $0.50"),
        ("can you make it 3x bigger pls :)", "3x"),
        ("<@U42>: 2x, it's for 2:30 pm, 5 pm or 14h30, 100% thanks <3 :D", "<@U42> 2x,"),
        ("please upscale this image, double the size, and scale it up to the max. Come on!", ""),
        ("turn the safety check off", "safety off"),
        ("set the steps to 30, creativity 50 %", "steps 30, creativity 50%"),
        ("creativity = 100%, factor :3", "creativity = 100%, factor :3"),
        ("be faithful to it, on US letter", "faithful"),
        ("size letter, with seedvr2", "size letter, seedvr2"),
        ("fix the white balance, the actor stands in a factory; das Modell, el modelo", ""),
        ("3-fold", "3x"),
        ("30 steps on this, 0.5 creativity :)", "30 steps 0.5 creativity"),
        ("factor 2 and a seed, a random one", "factor 2 seed, random"),
        ("3 × bigger", "3x"),
    ],
)
def test_ordinary_words_are_left_out(said: str, left: str) -> None:
    assert without_ordinary_words(said) == left
    if "cm" not in said:  # a paper needs its density, which is told
        parse(left)


@pytest.mark.parametrize("said", ["thanks!", "<@42> danke dir", "merci, très beau", "すごい！", "wow 😀"])
def test_small_talk_requests_nothing(said: str) -> None:
    assert is_small_talk(said)


@pytest.mark.parametrize(
    "said", ["", "<@42>", "upscale", "make it bigger", "bitte größer", "拡大して", "thanks, 2x", "faithful"]
)
def test_a_request_is_not_small_talk(said: str) -> None:
    assert not is_small_talk(said)


@pytest.mark.parametrize(
    "said",
    [
        "please creativty 2",
        "make it sharpness=3",
        "thanks, stepz",
        "what about 99 bananas",
        "my 5 cats on the steps",
        "with seedvr",
        "privat bitte",
    ],
)
def test_an_unknown_parameter_is_still_a_problem(said: str) -> None:
    with pytest.raises(InvalidParameters):
        parse(without_ordinary_words(said))


def test_a_model_on_offer_is_meant_by_its_name() -> None:
    assert without_ordinary_words("local please") == ""
    assert without_ordinary_words("local please", {"local"}) == "local"
