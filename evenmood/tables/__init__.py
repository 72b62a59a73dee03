"""Read and write tables as streams: CSV, TSV, JSON Lines, Parquet, Excel, plain text."""
