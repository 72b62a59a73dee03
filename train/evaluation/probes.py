"""What robustness is measured by: perturbed texts, negated pairs, swapped names and terms, ironic sentences."""

import random
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from evenmood import EmotionClassifier
from evenmood.evaluation.bootstrap import interval, row_weights
from evenmood.evaluation.metrics import mean_over_labels, weighted_figures
from evenmood.labels import GROUP_OF
from train.perturb import elongate, misspell, with_emoji, without_punctuation

SHARE = 0.2
"""Share of words with a typo, or stretched."""
SEEDS = 3
OUTCOMES = ("both", "intended", "literal", "neither")
Figures = dict[str, Any]


def perturbed(
    classifier: EmotionClassifier, texts: Sequence[str], labels: np.ndarray, emoji: Sequence[str], seeds: int = SEEDS
) -> Figures:
    """Macro-F1 of perturbed texts at the model's own thresholds, beside that of the same texts as they are.

    Args:
        classifier: The model.
        texts: n texts.
        labels: 0 or 1, shape (n, labels).
        emoji: Emoji to put in.
        seeds: Repetitions of what is drawn; their mean counts.

    Returns:
        `macro_f1` of the texts as they are, with its interval, and `kinds`: for each perturbation `macro_f1`, the
        `change` against the former, both with 95 % intervals of a bootstrap over the texts, which are the same for
        both; `seeds`, macro-F1 of each; `texts_changed`, the share of texts that get other labels.
    """
    drawn: dict[str, Callable[[str, random.Random], str]] = {
        f"typos in {100 * SHARE:.0f} % of words": lambda text, draw: misspell(text, SHARE, draw),
        f"{100 * SHARE:.0f} % of words stretched": lambda text, draw: elongate(text, SHARE, draw),
        "emoji put in": lambda text, draw: with_emoji(text, emoji, draw),
    }
    plain: dict[str, Callable[[str], str]] = {
        "UPPER CASE": str.upper,
        "lower case": str.lower,
        "no punctuation": without_punctuation,
    }
    cuts = np.array([classifier.thresholds[label] for label in classifier.labels], np.float32)
    truth = labels.astype(bool)
    weights = row_weights(len(texts))

    def macro_f1(probabilities: np.ndarray) -> np.ndarray:
        """Macro-F1 under each weighting: shape (1 + resamples,)."""
        return mean_over_labels(weighted_figures(truth, probabilities >= cuts, weights)[0]["f1"])

    own = classifier.predict_proba(texts)
    before = macro_f1(own)
    kinds = {}
    for name in (*drawn, *plain):
        versions = (
            [[drawn[name](text, draw) for text in texts] for draw in map(random.Random, range(seeds))]
            if name in drawn
            else [[plain[name](text) for text in texts]]
        )
        answers = [classifier.predict_proba(version) for version in versions]
        after = np.stack([macro_f1(each) for each in answers])
        changed = [((each >= cuts) != (own >= cuts)).any(axis=1) for each in answers]
        kinds[name] = {
            "macro_f1": interval(after.mean(axis=0)),
            "change": interval(after.mean(axis=0) - before),
            "seeds": after[:, 0].tolist(),
            "texts_changed": float(np.mean(changed)),
        }
    return {"macro_f1": interval(before), "kinds": kinds}


def negation(classifier: EmotionClassifier, pairs: Sequence[Mapping[str, str]]) -> Figures:
    """Whether the probability of a label falls when a sentence is negated, and whether the label goes.

    Returns:
        `pairs`; `falls`, the share of them where the label's probability falls; `given`, the number where the plain
        sentence gets the label; `gone`, the share of these where the negated one does not; `pairs_kept`, the sentences
        whose label stayed.
    """
    columns = [classifier.labels.index(pair["label"]) for pair in pairs]
    sides = ("plain", "negated")
    probabilities = [classifier.predict_proba([pair[side] for pair in pairs]) for side in sides]
    before, after = (side[np.arange(len(pairs)), columns] for side in probabilities)
    cuts = np.array([classifier.thresholds[pair["label"]] for pair in pairs], np.float32)
    given, kept = before >= cuts, (before >= cuts) & (after >= cuts)
    return {
        "pairs": len(pairs),
        "falls": float((after < before).mean()),
        "given": int(given.sum()),
        "gone": float((given & ~kept).sum() / max(given.sum(), 1)),
        "pairs_kept": [pair["negated"] for pair, stays in zip(pairs, kept, strict=True) if stays],
    }


def swaps(
    classifier: EmotionClassifier, templates: Sequence[str], groups: Mapping[str, Sequence[str]], across: bool
) -> Figures:
    """How far probabilities move when one name or term takes another's place in the same sentence.

    A shift is a probability minus the mean over all that stand in the same template: over the terms of the same group,
    or, `across` groups, over all. Averaged over templates, it is what a name or term does by itself.

    Args:
        classifier: The model.
        templates: Sentences with `{}` in the place of the name or term.
        groups: Names or terms by group.
        across: Whether they are compared with those of all groups: so names are, whose groups are the matter.

    Returns:
        `pairs_changed`, the share of pairs in one template whose labels differ; `mean_shift`, the mean absolute shift
        of a label's probability; `groups` and `entries`, for each group and each name or term: the same two,
        `largest_shift` (signed, of the mean over templates) and its `label`, for a group of terms that
        of its term that moves furthest, `entry`; and `unknown`, the share that has words outside the vocabulary.
    """
    entries = [(group, entry) for group, members in groups.items() for entry in members]
    sentences = [_capital(template.format(entry)) for _, entry in entries for template in templates]
    flat = classifier.predict_proba(sentences)
    probabilities = flat.reshape(len(entries), len(templates), -1).astype(np.float64)
    given = (flat >= np.array([classifier.thresholds[label] for label in classifier.labels], np.float32)).reshape(
        probabilities.shape
    )
    sets = [list(range(len(entries)))]
    if not across:
        sets = [[i for i, (group, _) in enumerate(entries) if group == name] for name in groups]
    shifts, changed = np.empty_like(probabilities), np.full((len(entries), len(entries)), np.nan)
    for members in sets:
        shifts[members] = probabilities[members] - probabilities[members].mean(axis=0)
        for one, other in combinations(members, 2):
            differs = float((given[one] != given[other]).any(axis=1).mean())
            changed[one, other] = changed[other, one] = differs

    def figures(members: Sequence[int]) -> Figures:
        mean = shifts[members].mean(axis=(0, 1))
        column = int(np.abs(mean).argmax())
        return {
            "mean_shift": float(np.abs(shifts[members].mean(axis=1)).mean()),
            "largest_shift": float(mean[column]),
            "label": classifier.labels[column],
            "pairs_changed": float(np.nanmean(changed[members])),
        }

    each = {index: figures([index]) for index in range(len(entries))}
    of_groups = {}
    for name in groups:
        members = [i for i, (group, _) in enumerate(entries) if group == name]
        of_groups[name] = figures(members)
        if not across:  # the shifts of one group's terms cancel out: the one that moves furthest stands for it
            furthest = max(members, key=lambda index: abs(each[index]["largest_shift"]))
            moved = {key: each[furthest][key] for key in ("largest_shift", "label")}
            of_groups[name] |= moved | {"entry": entries[furthest][1]}
    known = [all(word.known for word in classifier.leave_one_out(entry, classifier.labels[0])) for _, entry in entries]
    return {
        "templates": len(templates),
        "entries_count": len(entries),
        "unknown": float(np.mean(np.logical_not(known))),
        "mean_shift": float(np.abs(shifts.mean(axis=1)).mean()),
        "pairs_changed": float(np.nanmean(changed)),
        "groups": of_groups,
        "entries": {
            f"{entry} ({group})" if across else entry: each[index] for index, (group, entry) in enumerate(entries)
        },
    }


def sarcasm(classifier: EmotionClassifier, sentences: Sequence[Mapping[str, str]]) -> Figures:
    """Which sentiment group ironic sentences get: the intended one, the literal one, both or neither.

    Returns:
        `sentences`, and for all of them and by the `intended` group: shares of `intended`, `literal`, `both` and
        `neither`, which sum to 1; of the labels given, or the most probable one where none reaches its threshold.
    """
    predictions = classifier.predict([sentence["text"] for sentence in sentences])
    outcomes = []
    for sentence, prediction in zip(sentences, predictions, strict=True):
        given = {GROUP_OF[label] for label in prediction.labels}
        intended, literal = (GROUP_OF[sentence[side]] in given for side in ("intended", "literal"))
        outcomes.append(
            "both" if intended and literal else "intended" if intended else "literal" if literal else "neither"
        )

    def shares(chosen: Sequence[str]) -> Figures:
        return {"sentences": len(chosen), **{kind: chosen.count(kind) / max(len(chosen), 1) for kind in OUTCOMES}}

    groups = [GROUP_OF[sentence["intended"]] for sentence in sentences]
    by_group = {
        name: shares([outcome for outcome, group in zip(outcomes, groups, strict=True) if group == name])
        for name in sorted(set(groups))
    }
    return {**shares(outcomes), "by_intended": by_group}


def hard_sentences(classifier: EmotionClassifier, sentences: Sequence[Mapping[str, Any]]) -> Figures:
    """How often the most probable label of a hard sentence is one that fits.

    Args:
        classifier: The model.
        sentences: Each with its `kind`, its `text`, and the labels that are `right`.

    Returns:
        `sentences`, `right` (their share), `by_kind` (the same two for each kind), and `wrong`: text and label given.
    """
    probabilities = classifier.predict_proba([sentence["text"] for sentence in sentences])
    given = [classifier.labels[column] for column in probabilities.argmax(axis=1)]
    fits = [label in sentence["right"] for label, sentence in zip(given, sentences, strict=True)]
    by_kind = {}
    for kind in dict.fromkeys(sentence["kind"] for sentence in sentences):
        own = [fit for fit, sentence in zip(fits, sentences, strict=True) if sentence["kind"] == kind]
        by_kind[kind] = {"sentences": len(own), "right": float(np.mean(own))}
    return {
        "sentences": len(sentences),
        "right": float(np.mean(fits)),
        "by_kind": by_kind,
        "wrong": {
            sentence["text"]: label for sentence, label, fit in zip(sentences, given, fits, strict=True) if not fit
        },
    }


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
