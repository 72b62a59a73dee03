"""Building and publishing the data set: `python -m data_build --help`.

The stages, in order; each reads and writes Parquet in its own folder (`stage.py`, `evenmood/data/build_folder.py`):

1. `goemotions.py`    the official split, checked and kept as it is
2. `sentiment140.py`  tweets: cleaned, in English, each text once (`evenmood/data/tweets.py` reads them)
   `feedback.py`      what visitors of the demo said, where there is any
   `written.py`       texts that language models wrote and annotated
3. `relabel.py`       the teacher's 28 probabilities (`evenmood/teacher.py`; `cluster.py` for many machines)
4. `generate.py`      samples for labels that lack rows (`generation/`)
5. `verify.py`        labels that the teacher is sure of (`gates.py`), and nothing of validation or test
                      (`evenmood/data/leakage.py`)
6. `review.py`        five annotators, and the audit of random rows (`annotation/`)
7. `balance.py`       all rows, each text once; and of them an even distribution over the labels
8. `publishing/`      report, figures, cards, the data set on the Hub, and `hydrate.py` on the other side

The commands are in `cli/`.
"""
