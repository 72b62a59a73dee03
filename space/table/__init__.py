"""Tables that visitors upload: read, scored and counted apart from the server."""
