"""`evenmood.pipeline` compared with `transformers.pipeline`: the same calls return the same shapes and keys."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import evenmood
from evenmood import LABELS, EmotionClassifier, ModelError, UsageError

for package in ("datasets", "torch", "transformers"):
    pytest.importorskip(package, reason=f"{package} is not installed: pip install --group data")

TEXTS = ["Thank you so much!", "Oh no, that is terrible", "ok"]
CALLS: dict[str, Callable[[Any], Any]] = {
    "one text": lambda classify: classify(TEXTS[0]),
    "one text, top_k in the call": lambda classify: classify(TEXTS[0], top_k=None),
    "list": lambda classify: classify(TEXTS),
    "list of one": lambda classify: classify(TEXTS[:1]),
    "column of a data set": lambda classify: list(classify(_column())),
    "mapping": lambda classify: classify({"text": TEXTS[0]}),
    "list of mappings": lambda classify: classify([{"text": text} for text in TEXTS]),
    "generator": lambda classify: list(classify(text for text in TEXTS)),
    "three best": lambda classify: classify(TEXTS, top_k=3),
    "the best": lambda classify: classify(TEXTS[0], top_k=1),
    "with a tokenizer's options": lambda classify: classify(TEXTS, truncation=True, max_length=16, batch_size=2),
    "sigmoid asked for": lambda classify: classify(TEXTS, function_to_apply="sigmoid"),
}


def _column() -> Any:
    import datasets
    from transformers.pipelines.pt_utils import KeyDataset

    return KeyDataset(datasets.Dataset.from_dict({"text": TEXTS}), "text")


@pytest.fixture(scope="module")
def theirs(tiny_encoder: Path) -> Any:
    """A transformers pipeline on a small encoder with the 28 labels, saved and loaded as one from the Hub is."""
    import transformers

    return transformers.pipeline(task="text-classification", model=str(tiny_encoder), top_k=None)


@pytest.fixture(scope="module")
def ours(model: EmotionClassifier) -> Any:
    return evenmood.pipeline(task="text-classification", model=model, top_k=None)


def shape(result: Any) -> Any:
    """Types, lengths and key names of a result, down to its leaves."""
    if isinstance(result, list):
        return [shape(entry) for entry in result]
    if isinstance(result, dict):
        return {key: type(value).__name__ for key, value in result.items()}
    return type(result).__name__


@pytest.mark.parametrize("case", CALLS)
def test_the_same_shape(theirs: Any, ours: Any, case: str) -> None:
    expected, got = CALLS[case](theirs), CALLS[case](ours)
    assert shape(got) == shape(expected)
    rows = got if isinstance(got[0], list) else [got]
    for row in rows:
        scores = [entry["score"] for entry in row]
        assert scores == sorted(scores, reverse=True)
        assert {entry["label"] for entry in row} <= set(LABELS)


@pytest.mark.parametrize("case", CALLS)
def test_the_same_defaults(tiny_encoder: Path, model: EmotionClassifier, case: str) -> None:
    import transformers

    expected = CALLS[case](transformers.pipeline("text-classification", model=str(tiny_encoder)))
    got = CALLS[case](evenmood.pipeline("text-classification", model=model))
    assert shape(got) == shape(expected)


def test_it_streams_as_transformers_does(theirs: Any, ours: Any) -> None:
    read = []

    def texts() -> Any:
        for number in range(5000):
            read.append(number)
            yield TEXTS[number % 3]

    stream = ours(texts())
    assert not isinstance(stream, list)
    assert not isinstance(theirs(text for text in TEXTS), list)
    next(iter(stream))
    assert len(read) < 5000


def test_scores_are_the_classifiers(ours: Any, model: EmotionClassifier) -> None:
    (row,) = ours(TEXTS[0])
    assert {entry["label"]: entry["score"] for entry in row} == dict(
        zip(LABELS, map(float, model.predict_proba(TEXTS[0])), strict=True)
    )
    assert ours([]) == []


OPTIONS: dict[str, dict[str, Any]] = {
    "device": {"device": -1},
    "device by name": {"device": "cpu"},
    "truncation": {"truncation": True, "max_length": 16, "padding": True},
    "batches": {"batch_size": 8, "num_workers": 0},
    "number type": {"dtype": "float32"},
    "top_k": {"top_k": 2},
    "all labels": {"top_k": None},
    "function": {"function_to_apply": "sigmoid"},
    "remote code": {"trust_remote_code": False, "use_fast": True},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_that_transformers_takes(name: str, tiny_encoder: Path, model: EmotionClassifier) -> None:
    import transformers

    options = OPTIONS[name]
    theirs = transformers.pipeline(task="text-classification", model=str(tiny_encoder), **options)
    ours = evenmood.pipeline(task="text-classification", model=model, **options)
    for call in ("one text", "one text, top_k in the call", "list", "mapping", "generator"):
        assert shape(CALLS[call](ours)) == shape(CALLS[call](theirs))


@pytest.mark.parametrize(
    "options",
    [
        {"tokenizer": "any/tokenizer", "framework": "pt", "config": None, "feature_extractor": None},
        {"torch_dtype": "auto", "device_map": "auto", "model_kwargs": {"low_cpu_mem_usage": True}},
        {"binary_output": False, "processor": None, "image_processor": None},
    ],
)
def test_options_of_no_consequence(options: dict[str, Any], ours: Any, model: EmotionClassifier) -> None:
    assert evenmood.pipeline("text-classification", model=model, **options)(TEXTS) == [row[0] for row in ours(TEXTS)]


def test_all_scores_as_transformers_4_gave_them(model: EmotionClassifier, ours: Any) -> None:
    """`return_all_scores=True`: all labels in the model's order; False: one mapping per text. `top_k` goes first."""
    every = evenmood.pipeline(model=model, return_all_scores=True)
    (row,) = every(TEXTS[0])
    assert [entry["label"] for entry in row] == list(LABELS)
    assert sorted(row, key=lambda entry: -entry["score"]) == ours(TEXTS[0])[0]
    assert every(TEXTS) == ours(TEXTS, return_all_scores=True)
    one = evenmood.pipeline(model=model, return_all_scores=False)
    assert one(TEXTS[0]) == [ours(TEXTS[0])[0][0]]
    assert one(TEXTS) == [row[0] for row in ours(TEXTS)]
    assert list(one(text for text in TEXTS)) == one(TEXTS)
    assert one({"text": TEXTS[0]}) == ours(TEXTS[0])[0][0]
    both = evenmood.pipeline(model=model, return_all_scores=True, top_k=1)
    assert both(TEXTS) == ours(TEXTS, top_k=1)


def test_where_downloads_are_kept_goes_to_the_loader(tmp_path: Path, hub: Any) -> None:
    for options in ({"local_files_only": True}, {"model_kwargs": {"local_files_only": True}}):
        with pytest.raises(ModelError, match="local_files_only is set"):
            evenmood.pipeline(model="you/moods", cache_dir=tmp_path, **options)
    assert not hub.requests


def test_a_column_of_a_data_set_as_it_is(ours: Any) -> None:
    import datasets

    assert ours(datasets.Dataset.from_dict({"text": TEXTS})["text"]) == ours(TEXTS)


def test_a_model_by_folder(folder: Path) -> None:
    assert evenmood.pipeline(model=folder, top_k=1)(["Thank you!"])[0][0]["label"] == "gratitude"


def test_with_the_shared_teacher(ours: Any) -> None:
    teacher = Path(__file__).parents[3] / "shared" / "teacher" / "minilm-goemotions"
    if not teacher.is_dir():
        pytest.skip("the shared teacher is not on this machine")
    transformers = pytest.importorskip("transformers")
    theirs = transformers.pipeline(task="text-classification", model=str(teacher), top_k=None)
    got, expected = ours(TEXTS), theirs(TEXTS)
    assert shape(got) == shape(expected)
    assert [row[0]["label"] for row in got[:1]] == [row[0]["label"] for row in expected[:1]] == ["gratitude"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda ours: evenmood.pipeline("translation"), UsageError, "unsupported task"),
        (lambda ours: evenmood.pipeline(top_k=0), UsageError, "top_k is 0"),
        (lambda ours: ours("a", top_k="all"), UsageError, "top_k is 'all'"),
        (lambda ours: ours("a", function_to_apply="softmax"), UsageError, "expected 'sigmoid'"),
        (lambda ours: ours("a", colour="red"), TypeError, "'colour'"),
        (lambda ours: evenmood.pipeline(colour="red"), TypeError, "'colour'"),
        (lambda ours: evenmood.pipeline(function_to_apply="softmax"), UsageError, "expected 'sigmoid'"),
        (lambda ours: evenmood.pipeline(top_k="all"), UsageError, "top_k is 'all'"),
        (lambda ours: evenmood.pipeline(revision="v2"), UsageError, "the default model has no revision 'v2'"),
        (
            lambda ours: evenmood.pipeline(model=ours.classifier, revision="v2"),
            UsageError,
            "no effect on a loaded classifier",
        ),
        (lambda ours: ours(3), TypeError, "int"),
        (lambda ours: ours(["a", 3]), TypeError, "text 1 is 3"),
        (lambda ours: ours({"text": "a", "text_pair": "b"}), TypeError, "pairs"),
        (lambda ours: ours([{"txt": "a"}]), TypeError, "no key 'text'"),
    ],
)
def test_wrong_calls(ours: Any, call: Callable[[Any], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(ours)
