"""Read and write tables of any size as streams: CSV, TSV, JSON Lines, Parquet, Excel, text."""
