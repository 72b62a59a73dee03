"""Redact tokens, API keys and passwords in messages."""

import os
import re
from typing import Any, TextIO

REDACTED = "[redacted]"
MIN_SECRET_CHARS = 8
"""Minimum length of a secret from the environment: placeholders such as `EMPTY` or `none` are not redacted."""
SECRET_NAMES = re.compile(r"(?:TOKEN|KEY|SECRET|PASSWORD)$", re.IGNORECASE)
"""Names of environment variables that contain a secret."""
TOKENS = re.compile(
    r"""(?<![A-Za-z0-9])(?:
        hf_(?:oauth|jwt|app)_[\w.-]+                        # Hugging Face
      | hf_(?=[A-Za-z]*[A-Z0-9])[A-Za-z0-9]{6,}             # with a capital or digit: `hf_transfer` is a package
      | api_org_[A-Za-z0-9]{6,}
      | sk-[\w-]{8,} | gsk_\w{8,} | xai-\w{8,} | r8_\w{8,}  # OpenAI and compatible, Groq, xAI, Replicate
      | gh[oprsu]_\w{8,} | github_pat_\w{8,}
      | AIza[\w-]{20,} | AKIA[A-Z0-9]{12,}
      | eyJ[\w-]{8,}\.[\w.-]+                               # JSON Web Token
    )""",
    re.VERBOSE,
)
SECRET_IN_CONTEXT = re.compile(
    r"""(?P<before>
        (?i:bearer\s{1,8}(?=[^\s'"]{8}))                    # Authorization header
      | [?&](?i:api[-_]?key|key|token|access_token)=        # URL query parameter
      | ://[^\s/@:]{0,256}:(?=[^\s/@]{1,256}@)              # user and password in a URL
    )[^\s'"&@]+""",
    re.VERBOSE,
)
_registered: set[str] = set()


def register_secret(secret: str) -> None:
    """Register a secret to be redacted in every message of this process."""
    if len(secret) >= MIN_SECRET_CHARS:
        _registered.add(secret)


def redact(text: str) -> str:
    """Replace known secrets and everything that looks like one."""
    from_environment = {
        value for name, value in os.environ.items() if SECRET_NAMES.search(name) and len(value) >= MIN_SECRET_CHARS
    }
    for secret in sorted(_registered | from_environment, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    return TOKENS.sub(REDACTED, SECRET_IN_CONTEXT.sub(lambda match: match["before"] + REDACTED, text))


def redact_stream(stream: TextIO | None) -> None:
    """Redact everything written to a stream, including logs and tracebacks of other libraries."""
    if stream is None or getattr(stream.write, "redacts", False):
        return
    write = stream.write

    def redacting(text: str) -> Any:
        return write(redact(text))

    redacting.redacts = True  # type: ignore[attr-defined]
    stream.write = redacting  # type: ignore[method-assign]
