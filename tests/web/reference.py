"""Write the results of the Python library for real and random texts as JSON, for the tests of the npm package.

python -m tests.web.reference reference.json
"""

import json
import random
import string
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet

from evenmood import EmotionClassifier
from evenmood.data.splits import load_split

FUZZED = 10_000
SCORED = {"fast": 2_000, "accurate": 150}
LONG_TEXTS = {"fast": 84, "accurate": 5}
EXPLAINED = {"fast": 100, "accurate": 10}
"""Number of texts by model; the encoder takes much longer."""
ROOT = Path(__file__).parents[2]
EVERYDAY = ROOT / "train" / "evaluation" / "everyday"
WRITTEN = ROOT / "data_build" / "written" / "train.parquet"
GOEMOTIONS = ROOT.parent / "shared" / "data" / "goemotions"
LATIN = [chr(code) for code in range(0xA0, 0x250)]
ASSIGNED = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) not in ("Cn", "Cs", "Co")]
# Characters that the normalizers handle specially; random texts contain them often.
SPECIAL = [
    *"'’‘ʼ`´＇\u00ad\u200b\u200c\u200d\u2060\ufeff\ufe0e\ufe0f\u20e3!?….@#:=;-()[]/\\xXDpP<3\t\n\r\x1c\x85\xa0\u3000",
    *"ΣσςİıßẞŒÅéé́ﬁﬃ①½²Ⅻ가각ᄀ가ｶﾞガが한ไทยहिन्दी中文日本語ا\u0301\u0300\u0316\u0345\u0334",
    *"😀😡👍🏽❤☺🏳🌈🇩🇪👨‍👩‍👧\ufffd",
    " ",
    " http://a.b/c ",
    " www.x ",
    " @user ",
    "don't",
    " :'( ",
    " :D ",
    " <3 ",
    "...",
    "!!",
    "love",
    " happy ",
]


def main(target: Path) -> None:
    """Write the reference file."""
    target.write_text(json.dumps({name: results(name) for name in ("fast", "accurate")}), "utf-8")


def results(name: str) -> dict[str, object]:
    """Return texts with token ids, predictions and explanations of one bundled model."""
    model = EmotionClassifier.from_pretrained(name)
    real = [*everyday(), *goemotions()]
    scored = [*long_texts()[: LONG_TEXTS[name]], *real, *written()][: SCORED[name]]
    texts = [*dict.fromkeys([*real, *scored, *fuzzed()])]
    return {
        "texts": texts,
        "ids": [encoding.ids for encoding in model._tokenizer.tokenizer.encode_batch(texts, add_special_tokens=False)],
        "scored": [
            {"text": text, **prediction.to_dict()}
            for text, prediction in zip(scored, model.predict(scored), strict=True)
        ],
        "explained": [
            {"text": text, "words": words(model, text)} for text in [long_texts()[0], *real[: EXPLAINED[name]]]
        ],
    }


def everyday() -> list[str]:
    """Return the everyday texts of the validation and test splits."""
    return [text for split in ("validation", "test") for text in _texts(EVERYDAY / f"{split}.jsonl")]


def long_texts() -> list[str]:
    """Return texts that are split into several windows."""
    return _texts(EVERYDAY / "long.jsonl")


def goemotions() -> list[str]:
    """Return the test split of GoEmotions; empty if the data is missing."""
    return list(load_split(str(GOEMOTIONS), "test").texts) if GOEMOTIONS.is_dir() else []


def written() -> list[str]:
    """Return the written texts, the fallback if GoEmotions is missing."""
    return pyarrow.parquet.read_table(WRITTEN, columns=["text"]).column("text").to_pylist()[: SCORED["fast"]]  # type: ignore[no-any-return]


def fuzzed() -> list[str]:
    """Return reproducible random texts with characters of all scripts, and many special ones."""
    generator = random.Random(0)
    return ["".join(_character(generator) for _ in range(generator.randint(1, 24))) for _ in range(FUZZED)]


def _character(generator: random.Random) -> str:
    pool: Sequence[str] = generator.choices((SPECIAL, string.ascii_letters, LATIN, ASSIGNED), (4, 3, 1, 2))[0]
    return generator.choice(pool)


def _texts(path: Path) -> list[str]:
    return [json.loads(line)["text"] for line in path.read_text("utf-8").splitlines()]


def words(model: EmotionClassifier, text: str) -> list[dict[str, object]]:
    """Return an explanation, with offsets in UTF-16 code units as in JavaScript."""
    return [
        {
            "text": word.text,
            "start": len(text[: word.start].encode("utf-16-le")) // 2,
            "end": len(text[: word.end].encode("utf-16-le")) // 2,
            "weight": word.weight,
            "known": word.known,
        }
        for word in model.explain(text)
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
