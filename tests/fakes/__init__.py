"""Servers on loopback that speak the protocols of the Hub and of OpenAI, and tiny teachers."""
