"""Fixtures for the generation tests."""

from pathlib import Path

import pytest

from tests.fakes.openai_server import OpenAIServer


@pytest.fixture
def server(openai_server: OpenAIServer) -> OpenAIServer:
    return openai_server


@pytest.fixture
def build(generate_build: Path) -> Path:
    return generate_build
