"""Tests of the npm package: its Node tests against Python's answers, and its page in a browser."""
