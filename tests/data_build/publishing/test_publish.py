"""Publishing: upload and download with the real clients and a fake Hub; withheld tweets."""

import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pytest
from huggingface_hub import DatasetCard, DatasetCardData
from pyarrow import parquet

from data_build.publishing import written_rows
from data_build.publishing.card import REQUIRED, check_card
from data_build.publishing.hydrate import hydrate
from data_build.publishing.publish import prepare, publish
from data_build.stages import goemotions, written
from evenmood import LABELS, DataError
from evenmood.data.rows import schema, text_hash
from evenmood.data.splits import SPLITS, load_split
from evenmood.data.tweets import clean_tweet
from tests.commands import run_command
from tests.fakes.hub_server import HubServer
from tests.fakes.local_hub import READER
from tests.small_data import balanced_rows, tweets, write_balance, write_tsv, write_tweets

NAME = "you/even-emotions"
AT = f"datasets/{NAME}"


@pytest.fixture(scope="module")
def build_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build folder with the finished stages goemotions and balance."""
    build = tmp_path_factory.mktemp("build")
    goemotions.run(build, print, str(write_tsv(build / "tsv")), any_size=True)
    write_balance(build, balanced_rows(build / goemotions.STAGE))
    return build


@pytest.fixture(scope="module")
def local(build_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files to upload."""
    out = tmp_path_factory.mktemp("local")
    prepare(build_folder, out, NAME, print)
    return out


@pytest.fixture(autouse=True)
def few_written_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Publish a hundredth of the written texts, to save time; only `local` contains all of them."""
    rows = parquet.read_table(written.ROWS)
    monkeypatch.setattr(
        written, "ROWS", _parquet(tmp_path / "train.parquet", rows.take(list(range(0, len(rows), 100))))
    )


@pytest.fixture
def build(build_folder: Path, tmp_path: Path) -> Path:
    """A copy of the build that tests may change."""
    return Path(shutil.copytree(build_folder, tmp_path / "build"))


def command(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return run_command("data_build", "publish", *arguments, **environment)


def rows_of(repository: Any, path: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parquet.read_table(io.BytesIO(repository.files()[path])).to_pylist()
    return rows


def test_load_dataset_reads_the_published_rows(hub: HubServer, token: str, build_folder: Path, tmp_path: Path) -> None:
    publish(build_folder, NAME, print, include_tweets=True)
    balanced = datasets.load_dataset(NAME, cache_dir=str(tmp_path))  # the default configuration
    assert {name: len(split) for name, split in balanced.items()} == {"train": 144, "validation": 100, "test": 100}
    assert balanced["train"].features["labels"] == datasets.Sequence(datasets.ClassLabel(names=list(LABELS)))
    expected = balanced_rows(build_folder / goemotions.STAGE)
    published_rows = balanced["train"].to_list()
    for row, expected_row in zip(published_rows, expected, strict=True):
        scores = expected_row["scores"]
        assert row["scores"] == (None if scores is None else pytest.approx(scores))
        assert {**row, "scores": None} == {**expected_row, "scores": None}
    assert list(published_rows[0]) == schema().names
    unbalanced = datasets.load_dataset(NAME, "unbalanced", cache_dir=str(tmp_path))
    for name in SPLITS:
        official = parquet.read_table(build_folder / goemotions.STAGE / f"{name}.parquet").to_pylist()
        assert unbalanced[name].to_list() == official
        if name != "train":
            assert balanced[name].select_columns(["text", "labels", "id"]).to_list() == official
    for configuration, downloaded in (("balanced", balanced), ("unbalanced", unbalanced)):
        for name in SPLITS:
            stream = datasets.load_dataset(NAME, configuration, split=name, streaming=True, cache_dir=str(tmp_path))
            assert list(stream) == downloaded[name].to_list()


def test_the_written_texts_are_a_separate_configuration(
    hub: HubServer, token: str, build_folder: Path, tmp_path: Path
) -> None:
    publish(build_folder, NAME, print)
    written_texts = datasets.load_dataset(NAME, "written", cache_dir=str(tmp_path))
    assert list(written_texts) == ["train"]
    labels = datasets.Sequence(datasets.ClassLabel(names=list(LABELS)))
    assert written_texts["train"].features["labels"] == labels
    assert written_texts["train"].features["writer_labels"] == labels
    source = parquet.read_table(written.ROWS).to_pylist()
    published_rows = written_texts["train"].to_list()
    assert len(published_rows) == len(source)
    for row, source_row in zip(published_rows, source, strict=True):
        numbers = {name: [LABELS.index(label) for label in source_row[name]] for name in ("labels", "writer_labels")}
        assert row == {
            **source_row,
            **numbers,
            "id": f"written:{source_row['id']}",
            "text_hash": text_hash(source_row["text"]),
            "reviewed_by": None if source_row["votes"] is None else "model",
            "source": "written",
            "license": "CC-BY-4.0",
        }
    (info,) = (info for info in datasets.get_dataset_infos(NAME).values() if info.config_name == "written")
    assert info.splits["train"].num_examples == len(source)
    assert load_split(f"{NAME}:written", "train").texts == [row["text"] for row in source]


def test_the_card_describes_the_written_texts(local: Path) -> None:
    card = DatasetCard.load(local / "README.md")
    data = card.data.to_dict()
    assert data["configs"][2] == {
        "config_name": "written",
        "data_files": [{"split": "train", "path": "written/train-*.parquet"}],
    }
    rows = parquet.read_table(local / "written" / "train-00000-of-00001.parquet")
    (info,) = (info for info in data["dataset_info"] if info["config_name"] == "written")
    assert [feature["name"] for feature in info["features"]] == rows.schema.names
    assert (info["splits"][0]["name"], info["splits"][0]["num_examples"]) == ("train", rows.num_rows)
    assert "machine-generated" in data["annotations_creators"]
    assert data["size_categories"] == ["10K<n<100K"]
    text = card.text
    assert f"| `written` | {rows.num_rows:,} | – | – |" in text
    assert f"`written` contains {rows.num_rows:,} written texts" in text
    assert f"{rows.num_rows - rows['votes'].null_count:,} texts were annotated by language models" in text
    assert "- **written**: texts and labels CC BY 4.0" in text
    assert f'load_dataset("{NAME}", "written", split="train")' in text
    for column in rows.schema.names:
        assert column in text.split("## The written texts")[1].split("\n## ")[0]
    joy = sum(LABELS.index("joy") in row for row in rows["labels"].to_pylist())
    (line,) = (line for line in text.splitlines() if line.startswith("| joy |"))
    assert f" {joy:,} |" in line


def test_a_written_text_in_a_held_out_split_is_not_published(build: Path, tmp_path: Path) -> None:
    rows = parquet.read_table(written.ROWS).slice(0, 3)
    held_out = load_split(str(build / "tsv"), "test").texts[3].upper()
    texts = pyarrow.array([*rows["text"].to_pylist()[:2], held_out])
    rows = rows.set_column(rows.schema.get_field_index("text"), "text", texts)
    with pytest.raises(DataError, match=r"the text of .* is also in the test split"):
        written_rows.read({text_hash(held_out): "test"}, _parquet(tmp_path / "leak.parquet", rows))


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", r"\(the file is empty\)"), (b"PAR1", "corrupt, or not a Parquet file"), (None, "no column 'id'")],
)
def test_an_unreadable_file_of_written_texts(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = _parquet(tmp_path / "t.parquet", pyarrow.table({"text": ["a"]}))
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=rf"t.parquet: .*{message}"):
        written_rows.read({}, path)


def _parquet(path: Path, rows: pyarrow.Table) -> Path:
    parquet.write_table(rows, path)
    return path


def test_texts_of_tweets_are_withheld(hub: HubServer, token: str, build_folder: Path) -> None:
    publish(build_folder, NAME, print)
    repository = hub.repositories[AT]
    content = b"".join(repository.files().values())
    rows = rows_of(repository, "balanced/train-00000-of-00001.parquet")
    tweet_rows = [row for row in rows if row["source"] == "sentiment140"]
    assert len(tweet_rows) == 60
    for row, raw in zip(tweet_rows, tweets(), strict=True):
        assert row["text"] is None
        assert row["text_hash"] == text_hash(clean_tweet(raw))
        assert len(row["scores"]) == 28
        assert raw.encode() not in content
        assert clean_tweet(raw).encode() not in content
    assert all(row["text"] for row in rows if row["source"] != "sentiment140")
    card = repository.files()["README.md"].decode()
    assert "The texts of 60 tweets are withheld" in card
    assert f"python -m data_build hydrate {NAME}" in card


def test_hydrate(hub: HubServer, token: str, build_folder: Path, tmp_path: Path) -> None:
    publish(build_folder, NAME, print)
    with pytest.raises(DataError, match=r"withheld; fill it in .*hydrate"):
        load_split(f"{NAME}:balanced", "train")
    own_copy = write_tweets(tmp_path / "tweets.csv", ["something else", *tweets()])
    out = tmp_path / "hydrated"
    result = run_command("data_build", "hydrate", NAME, "--tweets", own_copy, "--out", out)
    assert result.returncode == 0, result.stderr
    assert "60 of 60 withheld texts filled in" in result.stderr
    expected = [row["text"] for row in balanced_rows(build_folder / goemotions.STAGE)]
    assert load_split(str(out), "train").texts == expected
    for name in SPLITS[1:]:
        assert load_split(str(out), name).digest() == load_split(str(build_folder / "tsv"), name).digest()
    result = run_command("data_build", "hydrate", NAME, "--tweets", own_copy, "--out", out)
    assert (result.returncode, "exists; choose another" in result.stderr) == (2, True)


def test_hydrate_from_a_folder_with_half_of_the_tweets(local: Path, tmp_path: Path) -> None:
    half = write_tweets(tmp_path / "half.csv", tweets()[:30])
    messages: list[str] = []
    assert hydrate(str(local), half, tmp_path / "out", messages.append) == 30
    assert "30 of 60 withheld texts filled in; 30 rows dropped (text not found)" in messages[-1]
    assert len(load_split(str(tmp_path / "out"), "train")) == 114


def test_hydrate_from_tweets_with_a_stray_quote(local: Path, tmp_path: Path) -> None:
    own_copy = write_tweets(tmp_path / "tweets.csv", tweets())
    own_copy.write_text(own_copy.read_text().replace("@user7 I", '"@user7 I'))
    messages: list[str] = []
    assert hydrate(str(local), own_copy, tmp_path / "out", messages.append) == 1
    assert messages[0].startswith(f"{own_copy}, line 8: ")
    assert messages[-1].endswith(
        f"59 of 60 withheld texts filled in; 1 rows dropped (text not found); 1 malformed rows in {own_copy}"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("sentiment,text\n0,nothing of it\n", "contains none of the 60 withheld texts"),
        ("sentiment,words\n0,nothing of it\n", "expected Sentiment140's six columns"),
        ("", "the file is empty"),
        (None, "no such file"),
    ],
)
def test_wrong_tweets(local: Path, tmp_path: Path, content: str | None, message: str) -> None:
    own_copy = tmp_path / "own.csv"
    if content is not None:
        own_copy.write_text(content)
    with pytest.raises(DataError, match=message) as error:
        hydrate(str(local), own_copy, tmp_path / "out", print)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_one_commit_per_change(hub: HubServer, token: str, build: Path) -> None:
    result = command(build, NAME, "--private")
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{hub.url}/{AT}\n"
    repository = hub.repositories[AT]
    assert repository.private
    assert set(repository.files()) - {".gitattributes"} == {
        *("README.md", "figures/labels.png"),
        *(f"{config}/{name}-00000-of-00001.parquet" for config in ("balanced", "unbalanced") for name in SPLITS),
        "written/train-00000-of-00001.parquet",
    }
    result = command(build, NAME)
    assert "no changes since commit" in result.stderr
    assert len(repository.history()) == 2
    shutil.rmtree(build / "balance")
    result = command(build, NAME)
    assert (result.returncode, "has the configuration balanced" in result.stderr) == (1, True)
    assert len(repository.history()) == 2
    messages: list[str] = []
    publish(build, NAME, messages.append, drop_balanced=True)
    assert "the stage balance has not been run" in messages[0]
    assert not [path for path in repository.files() if path.startswith("balanced/")]
    assert set(datasets.get_dataset_config_names(NAME)) == {"unbalanced", "written"}


def test_the_card(local: Path, tmp_path: Path) -> None:
    card = DatasetCard.load(local / "README.md")
    data = card.data.to_dict()
    assert DatasetCardData(**data).to_dict() == data
    assert not [key for key in REQUIRED if not data.get(key)]
    assert data["task_ids"] == ["multi-label-classification"]
    assert data["license"] == "other"
    assert [config["config_name"] for config in data["configs"]] == ["balanced", "unbalanced", "written"]
    assert data["source_datasets"] == ["google-research-datasets/go_emotions", "stanfordnlp/sentiment140", "original"]
    assert "No row was reviewed by people" in card.text
    for label in LABELS:
        assert f"| {label} |" in card.text
    for key in REQUIRED:
        broken = DatasetCard.load(local / "README.md")
        delattr(broken.data, key)
        (tmp_path / key).mkdir()
        broken.save(tmp_path / key / "README.md")
        with pytest.raises(DataError, match=key):
            check_card(tmp_path / key)


INVALID_ROWS: dict[str, tuple[dict[str, Any], str]] = {
    "a test text": ({"text": None, "text_hash": None}, "the text is also in the test split; run verify"),
    "duplicate id": ({"id": "generated:0"}, "duplicate row id generated:0"),
    "wrong hash": ({"text_hash": "0" * 16}, "text_hash does not match the text"),
    "no label": ({"labels": []}, r"invalid labels \[\]"),
    "label 28": ({"labels": [28]}, r"invalid labels \[28\]"),
}


@pytest.mark.parametrize("case", INVALID_ROWS)
def test_rows_that_must_not_be_published(build: Path, tmp_path: Path, case: str) -> None:
    change, message = INVALID_ROWS[case]
    rows = balanced_rows(build / goemotions.STAGE)
    if case == "a test text":
        text = load_split(str(build / "tsv"), "test").texts[3].upper()
        change = {"text": text, "text_hash": text_hash(text)}
    write_balance(build, [*rows[:-1], rows[-1] | change])
    with pytest.raises(DataError, match=message):
        prepare(build, tmp_path / "out", NAME, print)


def test_out_skips_the_upload_and_errors_are_reported(hub: HubServer, tmp_path: Path, build_folder: Path) -> None:
    result = command(build_folder, NAME, "--out", tmp_path / "out")
    assert (result.returncode, result.stdout) == (0, "")
    assert "nothing was uploaded" in result.stderr
    assert not hub.requests
    result = command(tmp_path, NAME)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "run: python -m data_build goemotions" in result.stderr
    result = command(build_folder, NAME, HF_TOKEN=READER)
    assert result.returncode == 1
    assert "403" in result.stderr.splitlines()[-1]


def test_the_official_split_is_checked(tmp_path: Path) -> None:
    splits = write_tsv(tmp_path / "tsv")
    with pytest.raises(DataError, match="300 train texts; expected 43,410 as in GoEmotions; use --any-size"):
        goemotions.run(tmp_path, print, str(splits))
    lines = (splits / "test.tsv").read_text().splitlines()
    (splits / "test.tsv").write_text("\n".join([*lines[:-1], lines[-1].replace("test99", "train7")]))
    with pytest.raises(DataError, match="duplicate id 'train7', in train and test"):
        goemotions.run(tmp_path, print, str(splits), any_size=True)
    assert not (tmp_path / goemotions.STAGE).exists()


def test_the_real_official_split(tmp_path: Path) -> None:
    official = Path(__file__).parents[4] / "shared" / "data" / "goemotions"
    if not official.is_dir():
        pytest.skip("the official splits are not available")
    messages: list[str] = []
    goemotions.run(tmp_path, messages.append, str(official))
    assert [line.rpartition(", ")[2] for line in messages[:3]] == ["identical to the official split"] * 3
    lines = (official / "test.tsv").read_text(encoding="utf-8").splitlines()
    rows = parquet.read_table(tmp_path / goemotions.STAGE / "test.parquet").to_pylist()
    assert [f"{row['text']}\t{','.join(map(str, row['labels']))}\t{row['id']}" for row in rows] == lines
