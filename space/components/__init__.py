"""Components shared by the tabs: answers as HTML, texts in three languages, error messages."""
