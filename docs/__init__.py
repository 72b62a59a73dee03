"""Scripts that write the documents and their pictures."""
