"""Models, storage and feedback on the server."""
