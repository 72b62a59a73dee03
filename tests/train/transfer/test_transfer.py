"""Evaluation on data sets with other labels: formats, mappings, and errors."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet
from sklearn.metrics import f1_score

from evenmood import LABELS, EmotionClassifier
from evenmood.errors import DataError, EvenmoodError, UsageError
from evenmood.labels import EKMAN, GROUPS
from tests.commands import run_command
from tests.conftest import DEFAULT_MODEL
from tests.small_data import write_tsv
from train.transfer.evaluation import combine_probabilities, evaluate_transfer, report, run_transfer
from train.transfer.labeled import read_labeled
from train.transfer.mapping import read_mapping
from train.transfer.targets import read_targets

ROWS = [
    ("I am so happy today, what a joy", "joy"),
    ("This makes me furious, you idiots", "anger"),
    ("I hope it all goes well, stay strong", "optimism"),
    ("I am sad and I cry, I miss her", "sadness"),
    ("Thank you, I love it, awesome", "joy"),
    ("I hate this so much", "anger"),
]
NUMBERS = {"anger": 0, "joy": 1, "optimism": 2, "sadness": 3}
EMOTIONS = read_mapping("tweet_emotion")


def write_lines(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def one_hot(label: str) -> list[int]:
    return [int(label == name) for name in NUMBERS]


def csv_names(folder: Path) -> Path:
    return write_lines(
        folder / "a.csv", "id,Tweet,Emotion", *(f'{i},"{text}",{e.upper()}' for i, (text, e) in enumerate(ROWS))
    )


def csv_semicolon(folder: Path) -> Path:
    return write_lines(folder / "a.csv", "text;label", *(f"{text};{NUMBERS[emotion]}" for text, emotion in ROWS))


def txt_without_header(folder: Path) -> Path:
    return write_lines(folder / "a.txt", *(f"{text};{emotion}" for text, emotion in ROWS))


def tsv_without_header(folder: Path) -> Path:
    return write_lines(folder / "a.tsv", *(f"{NUMBERS[emotion]}\t{text}" for text, emotion in ROWS))


def two_columns_of_short_texts(folder: Path) -> Path:
    return write_lines(folder / "a.csv", *(f"{text.split()[0]},{emotion}" for text, emotion in ROWS))


def semeval(folder: Path) -> Path:
    header = "\t".join(("ID", "Tweet", *NUMBERS))
    rows = ["\t".join((f"2018-{i}", text, *map(str, one_hot(e)))) for i, (text, e) in enumerate(ROWS)]
    return write_lines(folder / "2018-E-c-En-test-gold.txt", header, *rows)


def jsonl(folder: Path) -> Path:
    return write_lines(folder / "a.jsonl", *(json.dumps({"sentence": t, "emotions": [e]}) for t, e in ROWS))


def json_array(folder: Path) -> Path:
    rows = [{"content": text, "sentiment": NUMBERS[emotion]} for text, emotion in ROWS]
    return write_lines(folder / "a.json", json.dumps({"data": rows}, indent=1))


def parquet_names(folder: Path) -> Path:
    """Parquet from the datasets library, with label names in the schema, in another order than the mapping."""
    order = ["sadness", "optimism", "joy", "anger"]
    table = pyarrow.table({"text": [t for t, _ in ROWS], "label": [order.index(e) for _, e in ROWS]})
    features = {"text": {"_type": "Value"}, "label": {"names": order, "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    (folder / "data").mkdir()
    for shard in range(2):
        path = folder / "data" / f"test-0000{shard}-of-00002.parquet"
        parquet.write_table(table.slice(shard * 3, 3).replace_schema_metadata(metadata), path)
    return folder


def tweeteval(folder: Path) -> Path:
    order = ["sadness", "anger", "joy", "optimism"]
    write_lines(folder / "test_text.txt", *(text for text, _ in ROWS))
    write_lines(folder / "test_labels.txt", *(str(order.index(emotion)) for _, emotion in ROWS))
    write_lines(folder / "mapping.txt", *(f"{number}\t{name}" for number, name in enumerate(order)))
    return folder


def folder_of_csv(folder: Path) -> Path:
    csv_names(folder).rename(folder / "emotions_test.csv")
    return folder


def csv_from_localized_excel(folder: Path) -> Path:
    """UTF-16 with a first line that sets the delimiter."""
    path = csv_semicolon(folder)
    path.write_text("sep=;\n" + path.read_text(encoding="utf-8"), encoding="utf-16")
    return path


def lone_carriage_returns(folder: Path) -> Path:
    path = csv_semicolon(folder)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r"))
    return path


FORMATS: list[Callable[[Path], Path]] = [
    csv_names,
    csv_semicolon,
    txt_without_header,
    tsv_without_header,
    semeval,
    jsonl,
    json_array,
    parquet_names,
    tweeteval,
    folder_of_csv,
    csv_from_localized_excel,
    lone_carriage_returns,
]


@pytest.mark.parametrize("write", FORMATS)
def test_formats(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    data = read_targets(str(write(tmp_path)), "test", EMOTIONS)
    assert data.texts == [text for text, _ in ROWS]
    assert data.truth.astype(int).tolist() == [one_hot(emotion) for _, emotion in ROWS]


def test_windows_1252(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("text;label\nI am happy — “so” naïve;joy\nI am angry;anger\n".encode("cp1252"))
    assert read_targets(str(path), "test", EMOTIONS).texts == ["I am happy — “so” naïve", "I am angry"]


def test_short_texts_beside_labels(tmp_path: Path) -> None:
    data = read_targets(str(two_columns_of_short_texts(tmp_path)), "test", EMOTIONS)
    assert data.texts == [text.split()[0] for text, _ in ROWS]
    assert data.truth.astype(int).tolist() == [one_hot(emotion) for _, emotion in ROWS]


def test_bundled_mappings_match_goemotions() -> None:
    assert dict(read_mapping("ekman").labels) == dict(EKMAN)
    assert dict(read_mapping("sentiment").labels) == dict(GROUPS)
    mapped_labels = [member for members in EMOTIONS.labels.values() for member in members]
    assert sorted([*mapped_labels, *EMOTIONS.ignore]) == sorted(LABELS)


@pytest.mark.parametrize("file", ["", "validation.tsv"])
def test_goemotions_groups_follow_the_models_decisions(tmp_path: Path, model: EmotionClassifier, file: str) -> None:
    """With `maximum`, a group is predicted if the model predicts any of its labels."""
    source = write_tsv(tmp_path / "data", rows=240) / file
    results = evaluate_transfer(str(DEFAULT_MODEL), str(source), "validation", "ekman")
    rows = read_labeled(str(tmp_path / "data"), "validation", str.isalpha)
    decisions = model.predict_proba(rows.texts) >= np.array([model.thresholds[label] for label in LABELS], np.float32)
    groups = list(EKMAN.values())
    predicted = [[any(row[LABELS.index(name)] for name in group) for group in groups] for row in decisions]
    truth = [[any(name in labels for name in group) for group in groups] for labels in rows.labels]
    assert results["multi_label"]
    assert results["macro_f1"]["value"] == pytest.approx(f1_score(truth, predicted, average="macro", zero_division=0))
    assert "GoEmotions', and are mapped" in results["data"]["read_as"]


def test_single_label_data_uses_the_highest_score(tmp_path: Path, model: EmotionClassifier) -> None:
    results = evaluate_transfer(str(DEFAULT_MODEL), str(csv_names(tmp_path)), "test", "tweet_emotion")
    scores = combine_probabilities(model.predict_proba([text for text, _ in ROWS]), model, EMOTIONS)
    truth = [list(NUMBERS).index(emotion) for _, emotion in ROWS]
    predicted = scores.argmax(axis=1).tolist()
    assert not results["multi_label"]
    assert results["macro_f1"]["value"] == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert results["micro_f1"]["value"] == results["subset_accuracy"]["value"] == np.mean(np.equal(truth, predicted))
    assert sum(sum(row.values()) for row in results["confusion"].values()) == len(ROWS)
    assert "confusion" in report(results)


def test_labels_without_rows_are_excluded_with_a_note(tmp_path: Path) -> None:
    path = str(write_lines(tmp_path / "a.csv", "text,label", *(f'"{t}",{e}' for t, e in ROWS if e in ("joy", "anger"))))
    results = evaluate_transfer(str(DEFAULT_MODEL), path, "test", "tweet_emotion")
    assert set(results["confusion"]) == {"anger", "joy"}
    assert "excluded labels without rows: optimism, sadness" in report(results)
    results = evaluate_transfer(str(DEFAULT_MODEL), path, "test", "tweet_emotion", all_labels=True)
    assert set(results["confusion"]) == set(NUMBERS)


def test_noisy_or_and_thresholds(tmp_path: Path, model: EmotionClassifier) -> None:
    content = {"labels": {"good": ["joy", "love"], "bad": ["anger"]}, "combine": "noisy-or", "thresholds": {"bad": 0.9}}
    write_lines(tmp_path / "m.json", json.dumps(content))
    mapping = read_mapping(str(tmp_path / "m.json"))
    probabilities = np.full((1, len(LABELS)), 0.0)
    for label in ("joy", "love"):
        probabilities[0, LABELS.index(label)] = model.thresholds[label]
    assert combine_probabilities(probabilities, model, mapping)[0, 0] == pytest.approx(0.75, abs=1e-6)
    data = write_lines(tmp_path / "a.csv", "text,good,bad", "I love this joy,1,0", "I hate you,0,1", "stone,0,0")
    results = evaluate_transfer(str(DEFAULT_MODEL), str(data), "test", str(tmp_path / "m.json"))
    assert results["thresholds"] == {"good": 0.5, "bad": 0.9}


def test_dropped_rows_are_counted(tmp_path: Path) -> None:
    rows = [
        *(f'"{text}",{emotion}' for text, emotion in ROWS),
        "so scared,fear",
        '"hm, both","joy,anger"',
        ",joy",
        "x,",
    ]
    results = evaluate_transfer(
        str(DEFAULT_MODEL), str(write_lines(tmp_path / "a.csv", "text,label", *rows)), "test", "tweet_emotion"
    )
    counts = {key: value for key, value in results["data"].items() if isinstance(value, int)}
    assert counts == {"rows_read": 10, "without_text": 1, "labels_ignored": 1, "without_label": 2, "several_labels": 1}
    assert results["rows"] == len(ROWS)
    text = report(results)
    for note in ("1 rows without a text", "2 rows have none", "1 rows have several"):
        assert note in text


def test_tuned_thresholds_are_reported(tmp_path: Path) -> None:
    write_tsv(tmp_path / "data", rows=240)
    source, options = str(tmp_path / "data"), {"tune_split": "train"}
    results = evaluate_transfer(str(DEFAULT_MODEL), source, "validation", "sentiment", **options)  # type: ignore[arg-type]
    assert results["tuned_on"] == f"{source}, train"
    assert f"tuned on {source}, train" in report(results)
    with pytest.raises(UsageError, match="rows to be scored"):
        evaluate_transfer(str(DEFAULT_MODEL), source, "train", "sentiment", tune_split="train")
    file = str(csv_names(tmp_path))
    with pytest.raises(UsageError, match="rows to be scored"):
        evaluate_transfer(str(DEFAULT_MODEL), file, "test", "tweet_emotion", tune_split="validation")


def test_files_are_written_only_on_request(tmp_path: Path, folder: Path) -> None:
    data, out = str(csv_names(tmp_path)), tmp_path / "results.json"
    before = {path: path.read_bytes() for path in folder.iterdir()}
    run_transfer(str(folder), data, "test", "tweet_emotion", {})
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    run_transfer(str(folder), data, "test", "tweet_emotion", {}, out, save=True)
    results_file = folder / "training" / "transfer-tweet_emotion-a-test.json"
    assert json.loads(results_file.read_text()) == json.loads(out.read_text())
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    with pytest.raises(UsageError, match="exists; choose another"):
        run_transfer(str(folder), data, "test", "tweet_emotion", {}, out)


TWO_ROWS = ["text,label", "I am happy,joy", "I am angry,anger"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.csv",
            ["text,label", "I am happy,joy", "I trust you,trust", "yes,trust"],
            r"labels missing from mapping .*: 'trust' \(2\)",
        ),
        ("a.csv", ["text,label", "I am happy,joy", "So glad,joy"], "rows have the same labels"),
        ("a.csv", ["text,label", "I am happy,", "So glad,"], "no row has a label"),
        ("a.csv", ["text,label"], "no rows"),
        ("a.csv", ["words,feeling", "I am,x"], "no text column found; the columns are 'words', 'feeling'"),
        ("a.csv", ["text,rating", "I am,x"], "no label column found; the columns are 'text', 'rating'"),
        ("a.csv", ["text,joy,anger", "I am,1,0", "I,2,0"], "row 2: 'joy' is '2'; expected 0 or 1"),
        ("a.csv", ["text,joy,anger", "I am,NONE,NONE"], "'joy' is 'NONE'; expected 0 or 1"),
        ("a.csv", ["text,label", "I am,joy", "a,b,c"], "line 3: expected 2 cells, found 3"),
        ("a.csv", ["text,label", "I am,7", "a,1"], "label indices 7 have no names"),
        ("a.jsonl", ['{"text": "a", "label": "joy"}', "{"], "line 2: not JSON"),
        ("a.jsonl", ['{"text": 5, "label": "joy"}'], "no text column|not a string"),
        ("a.json", ['{"a": 5}'], "no text column"),
        ("a.parquet", ["not Parquet"], "not a Parquet file"),
        ("a.xls", ["x"], "expected one of: .csv, .tsv"),
    ],
)
def test_invalid_data_is_rejected(tmp_path: Path, name: str, content: list[str], message: str) -> None:
    path = write_lines(tmp_path / name, *content)
    with pytest.raises(EvenmoodError, match=message) as error:
        evaluate_transfer(str(DEFAULT_MODEL), str(path), "test", "tweet_emotion")
    assert "\n" not in str(error.value)


def test_invalid_folders_are_rejected(tmp_path: Path) -> None:
    def fails(message: str, split: str = "test") -> None:
        with pytest.raises(DataError, match=message):
            read_targets(str(tmp_path), split, EMOTIONS)

    fails("no test split; expected test_text.txt.*contains no files")
    tweeteval(tmp_path)
    write_lines(tmp_path / "test_labels.txt", "0", "1")
    fails("test_labels.txt: 2 lines; expected 6, as in test_text.txt")
    (tmp_path / "test_labels.txt").unlink()
    fails("test_labels.txt: no such file")
    fails("no validation split.*contains mapping.txt, test_text.txt", "validation")
    write_lines(tmp_path / "train.csv", *TWO_ROWS)
    write_lines(tmp_path / "train.tsv", *TWO_ROWS)
    fails(r"several candidates for the train split \(train.csv, train.tsv", "train")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "list; expected a JSON object"),
        ("{}", '"labels" must map labels'),
        ('{"labels": {"a": "joy"}}', "'a' requires a list"),
        ('{"labels": {"a": []}}', "'a' requires a list"),
        ('{"labels": {"a": ["happy"]}}', "unknown GoEmotions label .*; expected any of: admiration"),
        ('{"labels": {"a": ["joy"], "a": ["love"]}}', "duplicate key 'a'"),
        ('{"labels": {"a": ["joy"]}, "multi_lable": true}', "unknown entry"),
        ('{"labels": {"a": ["joy"]}, "multi_label": "yes"}', "expected true, false or no entry"),
        ('{"labels": {"a": ["joy"]}, "combine": "sum"}', "expected maximum or noisy-or"),
        ('{"labels": {"a": ["joy"]}, "names": {"0": "b"}}', '"names" has'),
        ('{"labels": {"a": ["joy"]}, "names": 5}', '"names" must map names'),
        ('{"labels": {"a": ["joy"]}, "ignore": "b"}', '"ignore" must be a list'),
        ('{"labels": {"a": ["joy"]}, "ignore": ["A"]}', "is both a label and ignored"),
        ('{"labels": {"a": ["joy"]}, "thresholds": {"a": 2}}', "expected a number between 0 and 1"),
        (None, "no such mapping file; expected a file or one of: ekman, sentiment, tweet_emotion"),
    ],
)
def test_invalid_mappings_are_rejected(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "m.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message) as error:
        read_mapping(str(path))
    assert "\n" not in str(error.value)


def test_command(tmp_path: Path) -> None:
    data = csv_names(tmp_path)
    result = run_command("train", "evaluate", DEFAULT_MODEL, "--data", data, "--mapping", "tweet_emotion")
    assert result.returncode == 0, result.stderr
    assert "macro-F1" in result.stdout
    result = run_command("train", "evaluate", DEFAULT_MODEL, "--data", data, "--mapping", "moods")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    result = run_command("train", "evaluate", DEFAULT_MODEL, "--save")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "requires --mapping" in result.stderr


def test_hub_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Label names come from the features of the data set."""
    import datasets

    order = ["sadness", "optimism", "joy", "anger"]
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=order)})
    rows = {"text": [text for text, _ in ROWS], "label": [order.index(emotion) for _, emotion in ROWS]}
    calls = []

    def load(*arguments: Any, **options: Any) -> Any:
        calls.append((*arguments, options))
        return datasets.Dataset.from_dict(rows, features)

    monkeypatch.setattr(datasets, "load_dataset", load)
    data = read_targets("you/moods:small", "test", EMOTIONS)
    assert calls == [("you/moods", "small", {"split": "test"})]
    assert data.truth.astype(int).tolist() == [one_hot(emotion) for _, emotion in ROWS]


def test_missing_file_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"moods.csv: no such file or folder$"):
        read_targets("moods.csv", "test", EMOTIONS)
