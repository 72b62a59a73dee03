"""No token is ever printed, logged or written, by any command, whether it succeeds or fails."""

import io
import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evenmood import EmotionClassifier, EvenmoodError, ModelError, UsageError
from evenmood.model.model_folder import PREDICTION_FILES
from evenmood.system.credentials import validate_secret
from evenmood.system.redaction import redact, redact_stream
from tests.commands import run_command
from tests.conftest import DEFAULT_MODEL
from tests.fakes.hub_server import HubServer
from tests.fakes.local_hub import READER, TOKEN, run_module

EXPIRED = "hf_aTokenThatHasExpired"
DEBUG = {"HF_HUB_VERBOSITY": "debug", "HF_DEBUG": "1"}
DEBUG |= {"DATASETS_VERBOSITY": "debug", "TRANSFORMERS_VERBOSITY": "debug"}


def test_no_token_is_printed_logged_or_written(hub: HubServer, evaluated_model: Path, tmp_path: Path) -> None:
    model_files = {name: (DEFAULT_MODEL / name).read_bytes() for name in PREDICTION_FILES}
    for name in ("you/secret", "you/hidden"):
        hub.add(name, model_files, private=True)
    folders = {name: str(tmp_path / name.lower()) for name in ("HF_HOME", "TMPDIR", "XDG_CACHE_HOME")}
    for folder in folders.values():
        Path(folder).mkdir()
    runs = []

    def run(expected: int, *arguments: str | Path, secret: str = TOKEN, **environment: str) -> None:
        # Errors are printed with and without --debug; one secret is enough without it.
        for debug in ([], ["--debug"]) if secret == EXPIRED else (["--debug"],) if expected else ([],):
            result = run_module(*arguments, *debug, **{**folders, **DEBUG, "HF_TOKEN": secret, **environment})
            assert result.returncode == expected, result.stderr
            assert secret not in result.stdout + result.stderr
            runs.append(result)

    unreachable = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    run(0, "train", "push", evaluated_model, "you/moods")
    run(0, "evenmood", "text", "Thank you!", "--model", "you/secret")
    run(0, "space.deploy", "you/demo", "--model", "you/secret")
    for secret in (READER, EXPIRED):
        run(1, "train", "push", evaluated_model, "you/other", secret=secret)
    run(1, "evenmood", "text", "Thank you!", "--model", "you/hidden", secret=EXPIRED)
    run(1, "evenmood", "text", "Thank you!", "--model", "you/nothing")
    run(1, "train", "job", "stranger/moods", secret=READER)
    run(1, "train", "push", evaluated_model, "you/moods", **unreachable)
    run(1, "data_build", "hydrate", "you/hidden-data", "--tweets", tmp_path / "none", "--out", tmp_path / "hydrated")
    run(1, "train", "remote", "stranger/moods", "--out", tmp_path / "model")
    hub.fail("validate-yaml", status=400, times=1)
    run(1, "train", "push", evaluated_model, "you/moods")
    hub.fail("/commit/", status=403, times=1)
    run(1, "space.deploy", "you/third")
    assert any("Traceback" in result.stderr for result in runs)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    for path in files:
        content = path.read_bytes()
        assert not [token for token in (TOKEN, READER, EXPIRED) if token.encode() in content], path
    for name, repository in hub.repositories.items():
        for file, uploaded in repository.files().items():
            assert TOKEN.encode() not in uploaded, f"{name}/{file}"


def test_commands_have_no_token_option() -> None:
    """A token on the command line would appear in the shell history and the process list."""
    for module, command in (("train", "push"), ("data_build", "publish"), ("space.deploy", None)):
        result: subprocess.CompletedProcess[str] = run_command(module, *([command] if command else []), "--help")
        assert result.returncode == 0
        assert "--token" not in result.stdout


WHITESPACE = ["{}\n", "{}\r\n", " {} ", "\t{}\n\n", "\u00a0{}"]
"""Templates of a token with whitespace around it, as read from a file or pasted."""
MALFORMED = {
    "typographic quotes": "\u201c{}\u201d",
    "quotes": '"{}"',
    "single quotes": "'{}'",
    "second line": "{}\nhf_another",
    "prefix": "Bearer {}",
    "control character": "{}\x01",
    "byte-order mark": "\ufeff{}",
    "ellipsis": "{}\u2026",
}


@pytest.mark.parametrize("template", WHITESPACE)
def test_whitespace_around_a_token_is_stripped(hub: HubServer, tmp_path: Path, template: str) -> None:
    hub.add("you/secret", {name: (DEFAULT_MODEL / name).read_bytes() for name in PREDICTION_FILES}, private=True)
    model = EmotionClassifier.from_pretrained("you/secret", token=template.format(TOKEN), cache_dir=tmp_path)
    assert model.predict("Thank you!").labels == ["gratitude"]


@pytest.mark.parametrize("template", MALFORMED.values(), ids=MALFORMED)
def test_malformed_token_is_rejected_immediately(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, template: str
) -> None:
    start = time.monotonic()
    malformed = template.format(TOKEN)
    with pytest.raises(UsageError, match="not a valid token") as error:
        EmotionClassifier.from_pretrained("you/x", token=malformed)
    assert TOKEN not in str(error.value)
    monkeypatch.setenv("HF_TOKEN", malformed)
    with pytest.raises(UsageError, match="HF_TOKEN: not a valid token") as error:
        EmotionClassifier.from_pretrained("you/x")
    assert TOKEN not in str(error.value)
    assert TOKEN not in caplog.text
    assert not hub.requests
    assert time.monotonic() - start < 2


def test_malformed_token_is_ignored_if_not_needed(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "\u201chf_x\u201d")
    hub.add("you/model", {name: (DEFAULT_MODEL / name).read_bytes() for name in PREDICTION_FILES})
    EmotionClassifier.from_pretrained("you/model", token=False)
    EmotionClassifier.from_pretrained("you/model", local_files_only=True)


@pytest.mark.parametrize("token", ["", "  ", 7, b"hf_theTokenThatNobodyMaySee", ["hf_theTokenThatNobodyMaySee"]])
def test_invalid_token_types_are_rejected(token: object) -> None:
    with pytest.raises(UsageError, match="token") as error:
        EmotionClassifier.from_pretrained("you/x", token=token)  # type: ignore[arg-type]
    assert TOKEN not in str(error.value)


@pytest.mark.parametrize("command", ["push", "deploy", "text", "job", "hydrate"])
def test_every_command_rejects_a_malformed_token(evaluated_model: Path, command: str, tmp_path: Path) -> None:
    arguments: dict[str, tuple[str | Path, ...]] = {
        "push": ("train", "push", evaluated_model, "you/moods"),
        "job": ("train", "job", "you/moods"),
        "deploy": ("space.deploy", "you/demo"),
        "text": ("evenmood", "text", "hi", "--model", "you/secret"),
        "hydrate": ("data_build", "hydrate", "you/data", "--tweets", tmp_path / "none", "--out", tmp_path / "out"),
    }
    result = run_command(*arguments[command], HF_TOKEN=f"\u201c{TOKEN}\u201d")
    assert result.returncode == 2, result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: HF_TOKEN: not a valid token")


def test_token_repeated_by_the_server_is_redacted(hub: HubServer, tmp_path: Path) -> None:
    """Tokens that were sent are redacted, even if they do not look like tokens."""
    password = "my-own-password-42"
    hub.fail(
        "/api/models/you/x", status=403, times=1, headers={"X-Error-Message": f"{password} may not, nor hf_Other1234"}
    )
    with pytest.raises(ModelError, match="403") as error:
        EmotionClassifier.from_pretrained("you/x", token=password, cache_dir=tmp_path)
    assert password not in str(error.value)
    assert "hf_Other1234" not in str(error.value)


TOKEN_PATTERNS = [
    "hf_theTokenThatNobodyMaySee",
    "hf_oauth_eyJhbGciOi.J9-x_y",
    "sk-proj-abcDEF123_-456",
    "sk-or-v1-0123456789abcdef",
    "gsk_0123456789abcdef",
    "ghp_0123456789abcdef",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig-na_ture",
    "api_org_abcdefghijkl",
]


@pytest.mark.parametrize("secret", TOKEN_PATTERNS)
def test_token_patterns_are_redacted(secret: str) -> None:
    for message in (
        "bad {}",
        "Illegal header value b'Bearer {}\\n'",
        "https://hub/api?token={}&x=1",
        "https://user:{}@hub/x",
        '{{"key": "{}"}}',
    ):
        redacted = redact(message.format(secret))
        assert secret not in redacted
        assert redacted.startswith(message[:4].replace("{{", "{"))
    assert secret not in str(EvenmoodError(f"refused: {secret}"))


@pytest.mark.parametrize(
    "message",
    [
        "hf_hub_download of hf_transfer failed at task-force-one/risk-averse-model",
        "log in with: hf auth login, or set HF_TOKEN",
        "https://huggingface.co/you/model/resolve/main/model.onnx?download=true",
        "unknown label 'happy'; expected one of: admiration, joy",
        "a bearer of bad news",
    ],
)
def test_other_texts_are_not_redacted(message: str) -> None:
    assert redact(message) == message


def test_secrets_in_the_environment_are_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "plain-password")
    monkeypatch.setenv("SOME_SECRET", "another password")
    assert redact("wrong: plain-password, another password") == "wrong: [redacted], [redacted]"
    validate_secret("  a.third-password\n", "token")
    assert redact("not a.third-password") == "not [redacted]"


def test_logs_and_tracebacks_are_redacted() -> None:
    stream = io.StringIO()
    redact_stream(stream)
    redact_stream(stream)
    logger = logging.Logger("below")
    logger.addHandler(logging.StreamHandler(stream))
    try:
        raise ValueError(f"Illegal header value b'Bearer {TOKEN}'")
    except ValueError:
        logger.exception("%s failed", TOKEN)
    print(TOKEN, file=stream)
    assert "Illegal header value" in stream.getvalue()
    assert TOKEN not in stream.getvalue()


def test_redaction_takes_linear_time() -> None:
    """Redact the worst-case input of each pattern."""
    for piece in (
        "hf_",
        "hf_a",
        "eyJ",
        "eyJaaaaaaaaaa",
        "sk-",
        "bearer ",
        "bearer" + " " * 9,
        "://",
        "://a:",
        "?key=",
        "a",
    ):
        for text in (piece * (20_000 // len(piece)), piece + " " * 20_000, piece + "a" * 20_000, piece + ":" * 20_000):
            start = time.perf_counter()
            redact(text)
            assert time.perf_counter() - start < 0.2, piece


@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["line", "debug"])
def test_unexpected_errors_are_redacted(tmp_path: Path, debug: list[str]) -> None:
    """Messages from other libraries are redacted too."""
    code = (
        "import sys; from evenmood.cli.command import run\n"
        f"def app(*_, **__): raise RuntimeError('Illegal header value {TOKEN}')\n"
        f"run(app, 'x', {debug!r})"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "Illegal header value" in result.stderr
    assert ("Traceback" in result.stderr) == bool(debug)
    assert TOKEN not in result.stderr
