"""Samples from an OpenAI-compatible endpoint: prompts, requests, answers, batches."""
