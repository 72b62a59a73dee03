"""Write the sample report: `python docs/sample_report.py docs/sample-report.html`.

The texts were written for this project. This script invents their products and dates, with differences that the report
can show: one product attracts more positive texts, one more negative texts, and the latter gets worse over the year.
"""

import csv
import hashlib
import json
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

from pyarrow import parquet

from evenmood import GROUP_OF
from evenmood.cli.command import run
from evenmood.cli.commands import app

ROOT = Path(__file__).parent.parent
WRITTEN = ROOT / "data_build/written/train.parquet"
EVERYDAY = ROOT / "train/evaluation/everyday"
DOMAINS = ("product review", "app review", "support ticket", "survey answer", "restaurant review", "direct message")
PRODUCTS = ("Kettle", "Headphones", "Desk lamp", "Backpack", "Phone app")
LIKED, DISLIKED = PRODUCTS[1], PRODUCTS[4]
FIRST_DAY, DAYS = date(2026, 1, 1), 330
NOTE = (
    "This is a sample. The texts were written for evenmood; the products and dates are invented, and so is every "
    "difference between products and over time."
)


def texts() -> list[tuple[str, str]]:
    """Return the texts, each with its first label."""
    rows = [row for row in parquet.read_table(WRITTEN).to_pylist() if row["domain"] in DOMAINS]
    labeled_texts = [(row["text"], row["labels"][0]) for row in rows]
    for name in ("validation", "test", "long"):
        for line in (EVERYDAY / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            labeled_texts.append((row["text"], row["labels"][0]))
    return labeled_texts


def invent(text: str, label: str) -> tuple[str, date]:
    """Invent a product and a date from a text's hash and the sentiment of its label."""
    digest = hashlib.sha256(text.encode()).digest()
    product, part_of_year = PRODUCTS[digest[0] % len(PRODUCTS)], int.from_bytes(digest[1:4]) / 2**24
    sentiment = GROUP_OF[label]
    if product == LIKED and sentiment == "negative" and digest[4] < 110:
        product = DISLIKED
    if product == DISLIKED and sentiment == "positive" and digest[5] < 110:
        product = LIKED
    if product == DISLIKED and sentiment == "negative":
        part_of_year **= 0.4  # later in the year
    if label in ("joy", "excitement", "love", "surprise"):
        part_of_year = part_of_year**0.6 if digest[6] < 128 else part_of_year
    return product, FIRST_DAY + timedelta(days=int(part_of_year * DAYS))


def main() -> None:
    """Write the table to a temporary folder, and the report on it."""
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/sample_report.py OUT.html")
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "comments.csv"
        with table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "product", "date"])
            writer.writerows([text, *invent(text, label)] for text, label in texts())
        columns = ["--time", "date", "--group", "product"]
        title_options = ["--title", "Sample: comments on five products", "--note", NOTE, "--day", "2026-11-26"]
        run(app, "evenmood", ["report", str(table), sys.argv[1], *columns, *title_options, "--overwrite"])


if __name__ == "__main__":
    main()
