"""Components shared by the tabs: predictions as HTML, texts in three languages, error messages."""
