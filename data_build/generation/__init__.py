"""Text generation with an OpenAI-compatible endpoint: prompts, requests, answers, batches."""
