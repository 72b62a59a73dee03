"""Tests of the npm package: its Node tests compared with Python, and its page in a browser."""
