"""The labels: the official order, the groups and the Ekman mapping."""

from collections.abc import Mapping

import pytest

from evenmood import EKMAN, GROUP_OF, GROUPS, LABELS

OFFICIAL_ORDER = """\
admiration amusement anger annoyance approval caring confusion curiosity desire disappointment disapproval disgust
embarrassment excitement fear gratitude grief joy love nervousness optimism pride realization relief remorse sadness
surprise neutral"""


def test_labels_have_the_official_order() -> None:
    assert list(LABELS) == OFFICIAL_ORDER.split()
    assert len(LABELS) == 28


@pytest.mark.parametrize(("group", "size"), [("positive", 12), ("negative", 11), ("ambiguous", 4), ("neutral", 1)])
def test_group_sizes(group: str, size: int) -> None:
    assert len(GROUPS[group]) == size


@pytest.mark.parametrize(
    ("mapping", "names"),
    [
        (GROUPS, ["positive", "negative", "ambiguous", "neutral"]),
        (EKMAN, ["anger", "disgust", "fear", "joy", "sadness", "surprise", "neutral"]),
    ],
)
def test_every_label_is_in_exactly_one_group(mapping: Mapping[str, tuple[str, ...]], names: list[str]) -> None:
    assert list(mapping) == names
    assert sorted(label for group in mapping.values() for label in group) == sorted(LABELS)


@pytest.mark.parametrize(
    ("emotion", "labels"),
    [
        ("anger", {"anger", "annoyance", "disapproval"}),
        ("disgust", {"disgust"}),
        ("fear", {"fear", "nervousness"}),
        ("sadness", {"sadness", "disappointment", "embarrassment", "grief", "remorse"}),
        ("surprise", {"surprise", "realization", "confusion", "curiosity"}),
        ("joy", set(GROUPS["positive"])),
    ],
)
def test_ekman_mapping_matches_the_paper(emotion: str, labels: set[str]) -> None:
    assert set(EKMAN[emotion]) == labels


def test_group_of_inverts_groups() -> None:
    assert dict(GROUP_OF) == {label: next(group for group in GROUPS if label in GROUPS[group]) for label in LABELS}


@pytest.mark.parametrize("mapping", [GROUPS, EKMAN, GROUP_OF])
def test_mappings_are_read_only(mapping: Mapping[str, object]) -> None:
    with pytest.raises(TypeError):
        mapping["joy"] = ()  # type: ignore[index]
