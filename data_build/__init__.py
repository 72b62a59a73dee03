"""Build and publish the data set: `python -m data_build --help`.

Each stage (a file in `stages/`) reads Parquet and writes Parquet to its own folder:

1. `goemotions`    official splits, checked and unchanged
2. `sentiment140`  English tweets, cleaned and deduplicated
   `feedback`      optional: feedback from visitors of the demo
   `written`       written texts: texts that language models wrote and annotated for training
3. `relabel`       the teacher's probability of each of the 28 labels
4. `generate`      texts generated for rare labels
5. `verify`        rows with labels that the teacher confirms, without duplicates of held-out texts
6. `review`        votes of five annotators on each row
   `resolve`       labels by majority vote
7. `balance`       all rows, deduplicated, and a selection with an even label distribution

`publishing/` writes the report, figures and card, and uploads the data set to the Hub.
"""
