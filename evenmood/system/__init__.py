"""Proxies, credentials, signals and paths: what the process runs with."""
