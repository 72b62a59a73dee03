"""Detection of texts about self-harm in three languages, without figures of speech."""

import pytest

from space.components.labels import chip
from space.components.support import helpline, mentions_self_harm
from space.components.texts import LANGUAGES

SELF_HARM = [
    *(
        "I want to die.",
        "i just wanna die",
        "I really want to die and nobody would notice",
        "I don't want to live anymore",
    ),
    *("I’m going to kill myself tonight", "thinking about killing myself again", "I keep hurting myself"),
    *("I've been cutting myself since March.", "I have been feeling suicidal for weeks", "I wish I was dead"),
    *("I am thinking of suicide", "they would be better off without me", "there is no reason to live"),
    *("sometimes I wish I had never been born", "I want to end my life", "self-harm is all I think about"),
    *(
        "Quiero morirme.",
        "ya no quiero vivir",
        "me quiero matar",
        "tengo ganas de suicidarme",
        "pienso en quitarme la vida",
    ),
    *("我想死", "我不想活了", "我想自杀", "他昨天开始伤害自己", "活着没意思"),
]
OTHER_TEXTS = [
    *("this traffic is killing me", "I'm dying of laughter", "I nearly died laughing", "I'd kill for a coffee"),
    *("my feet are killing me", "she will kill me if I'm late", "I cut myself shaving", "I cut myself a slice of cake"),
    *(
        "I hurt myself while running",
        "I want to die of embarrassment",
        "I don't want to live in London",
        "drop dead gorgeous",
    ),
    *("the battery died again", "suicide squad was a bad film", "I want to live by the sea", "that joke slayed me"),
    *("I don't want to wake up early", "My grandfather died on Sunday", "we killed it on stage", "wow, deadline again"),
    *("I take it all back", "I had to take it all apart again", "she takes my life savings seriously"),
    *("me muero de risa", "quiero morirme de risa", "este tráfico me mata", "no quiero vivir en Madrid"),
    *("我想死你了", "笑死我了", "热死了", "累死了"),
]


@pytest.mark.parametrize("text", SELF_HARM)
def test_self_harm_is_detected(text: str) -> None:
    assert mentions_self_harm(text)
    assert mentions_self_harm(f"Hello there. {text} Bye.")


@pytest.mark.parametrize("text", OTHER_TEXTS)
def test_figures_of_speech_are_not_detected(text: str) -> None:
    assert not mentions_self_harm(text)


def test_very_long_text() -> None:
    assert not mentions_self_harm("i want to i wish i " * 50_000)


@pytest.mark.parametrize("language", LANGUAGES)
def test_helpline_and_quiet_chips(language: str) -> None:
    assert "findahelpline.com" in helpline(language)
    assert "🙏" in chip(language, "gratitude", 0.9)
    quiet = chip(language, "gratitude", 0.9, quiet=True)
    assert "🙏" not in quiet
    assert "positive" not in quiet
