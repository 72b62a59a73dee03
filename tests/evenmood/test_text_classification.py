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
    "top three": lambda classify: classify(TEXTS, top_k=3),
    "top one": lambda classify: classify(TEXTS[0], top_k=1),
    "tokenizer options": lambda classify: classify(TEXTS, truncation=True, max_length=16, batch_size=2),
    "explicit sigmoid": lambda classify: classify(TEXTS, function_to_apply="sigmoid"),
}


def _column() -> Any:
    import datasets
    from transformers.pipelines.pt_utils import KeyDataset

    return KeyDataset(datasets.Dataset.from_dict({"text": TEXTS}), "text")


@pytest.fixture(scope="module")
def transformers_pipeline(tiny_encoder: Path) -> Any:
    """A transformers pipeline with a small encoder that has the 28 labels."""
    import transformers

    return transformers.pipeline(task="text-classification", model=str(tiny_encoder), top_k=None)


@pytest.fixture(scope="module")
def model(each_model: EmotionClassifier) -> EmotionClassifier:
    return each_model


@pytest.fixture(scope="module")
def pipeline(model: EmotionClassifier) -> Any:
    return evenmood.pipeline(task="text-classification", model=model, top_k=None)


def shape(result: Any) -> Any:
    """Types, lengths and key names of a result, down to its leaves."""
    if isinstance(result, list):
        return [shape(entry) for entry in result]
    if isinstance(result, dict):
        return {key: type(value).__name__ for key, value in result.items()}
    return type(result).__name__


@pytest.mark.parametrize("case", CALLS)
def test_results_have_the_same_shape(transformers_pipeline: Any, pipeline: Any, case: str) -> None:
    expected, actual = CALLS[case](transformers_pipeline), CALLS[case](pipeline)
    assert shape(actual) == shape(expected)
    rows = actual if isinstance(actual[0], list) else [actual]
    for row in rows:
        scores = [entry["score"] for entry in row]
        assert scores == sorted(scores, reverse=True)
        assert {entry["label"] for entry in row} <= set(LABELS)


@pytest.mark.parametrize("case", CALLS)
def test_default_results_have_the_same_shape(tiny_encoder: Path, model: EmotionClassifier, case: str) -> None:
    import transformers

    expected = CALLS[case](transformers.pipeline("text-classification", model=str(tiny_encoder)))
    actual = CALLS[case](evenmood.pipeline("text-classification", model=model))
    assert shape(actual) == shape(expected)


def test_generator_is_streamed(transformers_pipeline: Any, pipeline: Any) -> None:
    numbers = []

    def texts() -> Any:
        for number in range(5000):
            numbers.append(number)
            yield TEXTS[number % 3]

    stream = pipeline(texts())
    assert not isinstance(stream, list)
    assert not isinstance(transformers_pipeline(text for text in TEXTS), list)
    next(iter(stream))
    assert len(numbers) < 5000


def test_scores_match_the_classifier(pipeline: Any, model: EmotionClassifier) -> None:
    (row,) = pipeline(TEXTS[0])
    assert {entry["label"]: entry["score"] for entry in row} == dict(
        zip(LABELS, map(float, model.predict_proba(TEXTS[0])), strict=True)
    )
    assert pipeline([]) == []


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
def test_options_of_transformers(name: str, tiny_encoder: Path, model: EmotionClassifier) -> None:
    import transformers

    options = OPTIONS[name]
    transformers_pipeline = transformers.pipeline(task="text-classification", model=str(tiny_encoder), **options)
    pipeline = evenmood.pipeline(task="text-classification", model=model, **options)
    for call in ("one text", "one text, top_k in the call", "list", "mapping", "generator"):
        assert shape(CALLS[call](pipeline)) == shape(CALLS[call](transformers_pipeline))


@pytest.mark.parametrize(
    "options",
    [
        {"tokenizer": "any/tokenizer", "framework": "pt", "config": None, "feature_extractor": None},
        {"torch_dtype": "auto", "device_map": "auto", "model_kwargs": {"low_cpu_mem_usage": True}},
        {"binary_output": False, "processor": None, "image_processor": None},
    ],
)
def test_ignored_options(options: dict[str, Any], pipeline: Any, model: EmotionClassifier) -> None:
    assert evenmood.pipeline("text-classification", model=model, **options)(TEXTS) == [
        row[0] for row in pipeline(TEXTS)
    ]


def test_return_all_scores_as_in_transformers_4(model: EmotionClassifier, pipeline: Any) -> None:
    """With True, all labels in the order of the model; with False, one mapping per text. `top_k` takes precedence."""
    all_scores = evenmood.pipeline(model=model, return_all_scores=True)
    (row,) = all_scores(TEXTS[0])
    assert [entry["label"] for entry in row] == list(LABELS)
    assert sorted(row, key=lambda entry: -entry["score"]) == pipeline(TEXTS[0])[0]
    assert all_scores(TEXTS) == pipeline(TEXTS, return_all_scores=True)
    best = evenmood.pipeline(model=model, return_all_scores=False)
    assert best(TEXTS[0]) == [pipeline(TEXTS[0])[0][0]]
    assert best(TEXTS) == [row[0] for row in pipeline(TEXTS)]
    assert list(best(text for text in TEXTS)) == best(TEXTS)
    assert best({"text": TEXTS[0]}) == pipeline(TEXTS[0])[0][0]
    top_one = evenmood.pipeline(model=model, return_all_scores=True, top_k=1)
    assert top_one(TEXTS) == pipeline(TEXTS, top_k=1)


def test_download_options_are_passed_to_the_loader(tmp_path: Path, hub: Any) -> None:
    for options in ({"local_files_only": True}, {"model_kwargs": {"local_files_only": True}}):
        with pytest.raises(ModelError, match="local_files_only is set"):
            evenmood.pipeline(model="you/moods", cache_dir=tmp_path, **options)
    assert not hub.requests


def test_data_set_column(pipeline: Any) -> None:
    import datasets

    assert pipeline(datasets.Dataset.from_dict({"text": TEXTS})["text"]) == pipeline(TEXTS)


def test_model_folder(folder: Path) -> None:
    assert evenmood.pipeline(model=folder, top_k=1)(["Thank you!"])[0][0]["label"] == "gratitude"


def test_shared_teacher_has_the_same_shape(pipeline: Any) -> None:
    teacher = Path(__file__).parents[3] / "shared" / "teacher" / "minilm-goemotions"
    if not teacher.is_dir():
        pytest.skip("shared/teacher/minilm-goemotions not found next to the checkout")
    transformers = pytest.importorskip("transformers")
    transformers_pipeline = transformers.pipeline(task="text-classification", model=str(teacher), top_k=None)
    actual, expected = pipeline(TEXTS), transformers_pipeline(TEXTS)
    assert shape(actual) == shape(expected)
    assert [row[0]["label"] for row in actual[:1]] == [row[0]["label"] for row in expected[:1]] == ["gratitude"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda pipeline: evenmood.pipeline("translation"), UsageError, "unsupported task"),
        (lambda pipeline: evenmood.pipeline(top_k=0), UsageError, "top_k is 0"),
        (lambda pipeline: pipeline("a", top_k="all"), UsageError, "top_k is 'all'"),
        (lambda pipeline: pipeline("a", function_to_apply="softmax"), UsageError, "expected 'sigmoid'"),
        (lambda pipeline: pipeline("a", colour="red"), TypeError, "'colour'"),
        (lambda pipeline: evenmood.pipeline(colour="red"), TypeError, "'colour'"),
        (lambda pipeline: evenmood.pipeline(function_to_apply="softmax"), UsageError, "expected 'sigmoid'"),
        (lambda pipeline: evenmood.pipeline(top_k="all"), UsageError, "top_k is 'all'"),
        (lambda pipeline: evenmood.pipeline(revision="v2"), UsageError, "the default model is bundled"),
        (
            lambda pipeline: evenmood.pipeline(model=pipeline.classifier, revision="v2"),
            UsageError,
            "requires a Hub id as model, not a loaded classifier",
        ),
        (lambda pipeline: pipeline(3), TypeError, "int"),
        (lambda pipeline: pipeline(["a", 3]), TypeError, "text 1 is 3"),
        (lambda pipeline: pipeline({"text": "a", "text_pair": "b"}), TypeError, "pairs"),
        (lambda pipeline: pipeline([{"txt": "a"}]), TypeError, "no key 'text'"),
    ],
)
def test_invalid_calls_are_rejected(
    pipeline: Any, call: Callable[[Any], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call(pipeline)
