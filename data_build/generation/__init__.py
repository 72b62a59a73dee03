"""Text generation with an OpenAI-compatible endpoint: prompts, requests, completions, batches."""
