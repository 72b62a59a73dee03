"""Building and publishing the data set: `python -m data_build --help`.

The stages, in order; each reads and writes Parquet in a folder of its own (`stage.py`, `evenmood/build_folder.py`):

1. `goemotions.py`    the official split, checked and kept as it is
2. `sentiment140.py`  tweets: cleaned, in English, each text once (`evenmood/tweets.py` reads them)
   `feedback.py`      what visitors of the demo said, where there is any
   `written.py`       texts that language models wrote and annotated (`written_votes.py`)
3. `relabel.py`       the teacher's 28 probabilities (`evenmood/teacher.py`; `cluster.py` for many machines)
4. `generate.py`      samples for labels that lack rows (`prompts.py`, `answers.py`, `generator.py`, `batch.py`);
                      `kept.py` takes rows that were generated before
5. `verify.py`        labels that the teacher is sure of (`gates.py`), and nothing of validation or test
                      (`evenmood/leakage.py`)
6. `review.py`        five annotators (`annotate.py` and `annotate.js`, `votes.py`, `majority.py`, `agreement.py`)
7. `review.py`        the audit of random rows, in the same app
8. `balance.py`       all rows, each text once; and of them an even distribution over the labels
9. `report.py`        results file, document and figures (`figures.py`, `dataset_report.md.jinja`)
10. `publish.py`      the data set on the Hub (`card.py`, `dataset_card.md.jinja`), and `hydrate.py` on the other side
"""
