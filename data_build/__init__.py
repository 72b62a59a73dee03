"""Build and publish the data set: `python -m data_build --help`.

Each stage (a file in `stages/`) reads Parquet and writes Parquet to its own folder:

1. `goemotions`    official splits, checked and unchanged
2. `sentiment140`  English tweets, cleaned and deduplicated
   `feedback`      optional: feedback from visitors of the demo
   `written`       texts written and annotated by language models
3. `relabel`       the teacher's probability of each of the 28 labels
4. `generate`      texts generated for rare labels
5. `verify`        labels confirmed by the teacher; no text of validation or test
6. `review`        votes of five annotators, and an audit of random rows
7. `balance`       all rows, deduplicated; a selection with an even label distribution

`publishing/` writes the report, figures and card, and uploads the data set to the Hub.
"""
