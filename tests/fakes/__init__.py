"""Fake Hub and OpenAI servers on loopback, and tiny teachers."""
