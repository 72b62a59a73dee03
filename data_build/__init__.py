"""Building and publishing the data set: `python -m data_build --help`.

The stages, in order (`stages/`, a file each), read and write Parquet in folders of their own:

1. `goemotions`    the official split, checked and kept as it is
2. `sentiment140`  tweets: cleaned, in English, each text once
   `feedback`      what visitors of the demo said, where there is any
   `written`       texts that language models wrote and annotated
3. `relabel`       the teacher's 28 probabilities
4. `generate`      samples for labels that lack rows
5. `verify`        labels that the teacher is sure of, and nothing of validation or test
6. `review`        five annotators, and the audit of random rows
7. `balance`       all rows, each text once; and of them an even distribution over the labels

`publishing/` writes report, figures and cards, and the data set to the Hub.
"""
