"""Process environment: proxies, credentials, redaction, signals and paths."""
