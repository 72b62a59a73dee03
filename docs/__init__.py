"""Scripts that generate the documents, their images and the documentation site."""
