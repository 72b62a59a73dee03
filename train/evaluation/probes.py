"""Robustness probes: perturbed texts, negated pairs, swapped names and terms, sarcasm, hard sentences."""

import random
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from evenmood import EmotionClassifier
from evenmood.evaluation.bootstrap import interval, row_weights
from evenmood.evaluation.metrics import mean_over_labels, weighted_metrics
from evenmood.labels import GROUP_OF
from train.perturb import elongate, misspell, with_emoji, without_punctuation

SHARE = 0.2
"""Share of words with a typo or elongation."""
SEEDS = 3
OUTCOMES = ("both", "intended", "literal", "neither")
Results = dict[str, Any]


def perturbations(
    classifier: EmotionClassifier, texts: Sequence[str], labels: np.ndarray, emoji: Sequence[str], seeds: int = SEEDS
) -> Results:
    """Compare macro-F1 on perturbed texts with that on the original texts, at the model's thresholds.

    Args:
        classifier: The model.
        texts: n texts.
        labels: 0 or 1, shape (n, labels).
        emoji: Emoji to insert.
        seeds: Number of repetitions of random perturbations, which are averaged.

    Returns:
        `macro_f1` of the original texts, and `kinds`: for each perturbation `macro_f1` and its `change`, both with 95%
        intervals from the same bootstrap samples; `seeds`, macro-F1 per repetition; and `texts_changed`, the share of
        texts with other predicted labels.
    """
    stochastic: dict[str, Callable[[str, random.Random], str]] = {
        f"typos in {100 * SHARE:.0f}% of words": lambda text, generator: misspell(text, SHARE, generator),
        f"{100 * SHARE:.0f}% of words elongated": lambda text, generator: elongate(text, SHARE, generator),
        "emoji inserted": lambda text, generator: with_emoji(text, emoji, generator),
    }
    deterministic: dict[str, Callable[[str], str]] = {
        "UPPER CASE": str.upper,
        "lower case": str.lower,
        "no punctuation": without_punctuation,
    }
    thresholds = np.array([classifier.thresholds[label] for label in classifier.labels], np.float32)
    truth = labels.astype(bool)
    weights = row_weights(len(texts))

    def macro_f1(probabilities: np.ndarray) -> np.ndarray:
        """Compute macro-F1 on the data and on each bootstrap sample: shape (1 + samples,)."""
        return mean_over_labels(weighted_metrics(truth, probabilities >= thresholds, weights)[0]["f1"])

    original = classifier.predict_proba(texts)
    before = macro_f1(original)
    kinds = {}
    for name in (*stochastic, *deterministic):
        versions = (
            [[stochastic[name](text, generator) for text in texts] for generator in map(random.Random, range(seeds))]
            if name in stochastic
            else [[deterministic[name](text) for text in texts]]
        )
        predictions = [classifier.predict_proba(version) for version in versions]
        after = np.stack([macro_f1(probabilities) for probabilities in predictions])
        changed = [((p >= thresholds) != (original >= thresholds)).any(axis=1) for p in predictions]
        kinds[name] = {
            "macro_f1": interval(after.mean(axis=0)),
            "change": interval(after.mean(axis=0) - before),
            "seeds": after[:, 0].tolist(),
            "texts_changed": float(np.mean(changed)),
        }
    return {"macro_f1": interval(before), "kinds": kinds}


def negation(classifier: EmotionClassifier, pairs: Sequence[Mapping[str, str]]) -> Results:
    """Measure whether negating a sentence lowers the probability of its label, and removes the label.

    Returns:
        `pairs`, the number of pairs; `decreased`, the share of pairs whose probability decreases; `labeled`, the number
        of pairs whose original sentence has the label; `removed`, the share of these whose negated sentence does not;
        and `still_labeled`, the negated sentences that have the label.
    """
    columns = [classifier.labels.index(pair["label"]) for pair in pairs]
    sides = ("plain", "negated")
    probabilities = [classifier.predict_proba([pair[side] for pair in pairs]) for side in sides]
    before, after = (side[np.arange(len(pairs)), columns] for side in probabilities)
    thresholds = np.array([classifier.thresholds[pair["label"]] for pair in pairs], np.float32)
    labeled, still_labeled = before >= thresholds, (before >= thresholds) & (after >= thresholds)
    return {
        "pairs": len(pairs),
        "decreased": float((after < before).mean()),
        "labeled": int(labeled.sum()),
        "removed": float((labeled & ~still_labeled).sum() / max(labeled.sum(), 1)),
        "still_labeled": [pair["negated"] for pair, still in zip(pairs, still_labeled, strict=True) if still],
    }


def swaps(
    classifier: EmotionClassifier, templates: Sequence[str], groups: Mapping[str, Sequence[str]], across: bool
) -> Results:
    """Measure how probabilities shift when a name or term in a sentence is replaced by another.

    A shift is a probability minus the mean over all terms of the same group in the same template, or over the terms of
    all groups if `across`. Its mean over templates is the effect of a name or term.

    Args:
        classifier: The model.
        templates: Sentences with the placeholder `{}`.
        groups: Names or terms by group.
        across: Whether to compare across groups, as for names, rather than within them.

    Returns:
        `pairs_changed`, the share of pairs in a template with different labels; `mean_shift`, the mean absolute shift
        of a label's probability; `groups` and `entries`, with both metrics per group and per name or term, and the
        `largest_shift` (signed, mean over templates) with its `label` and, for groups of terms, its `entry`; and
        `unknown`, the share of names or terms with words outside the vocabulary.
    """
    entries = [(group, entry) for group, members in groups.items() for entry in members]
    sentences = [_capital(template.format(entry)) for _, entry in entries for template in templates]
    flat = classifier.predict_proba(sentences)
    probabilities = flat.reshape(len(entries), len(templates), -1).astype(np.float64)
    predicted = (flat >= np.array([classifier.thresholds[label] for label in classifier.labels], np.float32)).reshape(
        probabilities.shape
    )
    groups_to_compare = [list(range(len(entries)))]
    if not across:
        groups_to_compare = [[i for i, (group, _) in enumerate(entries) if group == name] for name in groups]
    shifts, changed = np.empty_like(probabilities), np.full((len(entries), len(entries)), np.nan)
    for members in groups_to_compare:
        shifts[members] = probabilities[members] - probabilities[members].mean(axis=0)
        for first, second in combinations(members, 2):
            difference = float((predicted[first] != predicted[second]).any(axis=1).mean())
            changed[first, second] = changed[second, first] = difference

    def summarize(members: Sequence[int]) -> Results:
        mean = shifts[members].mean(axis=(0, 1))
        column = int(np.abs(mean).argmax())
        return {
            "mean_shift": float(np.abs(shifts[members].mean(axis=1)).mean()),
            "largest_shift": float(mean[column]),
            "label": classifier.labels[column],
            "pairs_changed": float(np.nanmean(changed[members])),
        }

    by_entry = {index: summarize([index]) for index in range(len(entries))}
    by_group = {}
    for name in groups:
        members = [i for i, (group, _) in enumerate(entries) if group == name]
        by_group[name] = summarize(members)
        if not across:  # shifts within a group cancel out: report the term with the largest shift
            furthest = max(members, key=lambda index: abs(by_entry[index]["largest_shift"]))
            largest = {key: by_entry[furthest][key] for key in ("largest_shift", "label")}
            by_group[name] |= largest | {"entry": entries[furthest][1]}
    in_vocabulary = [
        all(word.known for word in classifier.leave_one_out(entry, classifier.labels[0])) for _, entry in entries
    ]
    return {
        "templates": len(templates),
        "entries_count": len(entries),
        "unknown": float(np.mean(np.logical_not(in_vocabulary))),
        "mean_shift": float(np.abs(shifts.mean(axis=1)).mean()),
        "pairs_changed": float(np.nanmean(changed)),
        "groups": by_group,
        "entries": {
            f"{entry} ({group})" if across else entry: by_entry[index] for index, (group, entry) in enumerate(entries)
        },
    }


def sarcasm(classifier: EmotionClassifier, sentences: Sequence[Mapping[str, str]]) -> Results:
    """Measure whether labels predicted for sarcastic sentences have the intended sentiment, the literal one, or both.

    Returns:
        `sentences`, the number of sentences; the shares of `intended`, `literal`, `both` and `neither`, which sum to 1;
        and the same `by_intended` group.
    """
    predictions = classifier.predict([sentence["text"] for sentence in sentences])
    outcomes = []
    for sentence, prediction in zip(sentences, predictions, strict=True):
        predicted_groups = {GROUP_OF[label] for label in prediction.labels}
        intended, literal = (GROUP_OF[sentence[side]] in predicted_groups for side in ("intended", "literal"))
        outcomes.append(
            "both" if intended and literal else "intended" if intended else "literal" if literal else "neither"
        )

    def shares(group: Sequence[str]) -> Results:
        return {"sentences": len(group), **{kind: group.count(kind) / max(len(group), 1) for kind in OUTCOMES}}

    groups = [GROUP_OF[sentence["intended"]] for sentence in sentences]
    by_group = {
        name: shares([outcome for outcome, group in zip(outcomes, groups, strict=True) if group == name])
        for name in sorted(set(groups))
    }
    return {**shares(outcomes), "by_intended": by_group}


def hard_sentences(classifier: EmotionClassifier, sentences: Sequence[Mapping[str, Any]]) -> Results:
    """Measure how often the most probable label of a hard sentence is correct.

    Args:
        classifier: The model.
        sentences: Sentences with `kind`, `text`, and the correct labels, `right`.

    Returns:
        `sentences`, the number of sentences; `right`, the share of correct ones; `by_kind`, both per kind; and `wrong`,
        texts with incorrect labels.
    """
    probabilities = classifier.predict_proba([sentence["text"] for sentence in sentences])
    predicted = [classifier.labels[column] for column in probabilities.argmax(axis=1)]
    correct = [label in sentence["right"] for label, sentence in zip(predicted, sentences, strict=True)]
    by_kind = {}
    for kind in dict.fromkeys(sentence["kind"] for sentence in sentences):
        correct_of_kind = [
            right for right, sentence in zip(correct, sentences, strict=True) if sentence["kind"] == kind
        ]
        by_kind[kind] = {"sentences": len(correct_of_kind), "right": float(np.mean(correct_of_kind))}
    return {
        "sentences": len(sentences),
        "right": float(np.mean(correct)),
        "by_kind": by_kind,
        "wrong": {
            sentence["text"]: label
            for sentence, label, right in zip(sentences, predicted, correct, strict=True)
            if not right
        },
    }


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
