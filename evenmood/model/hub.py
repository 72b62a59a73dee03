"""Hugging Face Hub: download files, and upload a folder in one commit, with retries and one-line errors."""

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from evenmood.errors import EvenmoodError, HubError, ModelError, UsageError
from evenmood.model.model_folder import CARD_FILE, KERAS_FILES, PREDICTION_FILES, TRAINING_FOLDER
from evenmood.system import credentials, proxies
from evenmood.system.redaction import redact

if TYPE_CHECKING:
    from huggingface_hub import HfApi

logger = logging.getLogger(__name__)
T = TypeVar("T")
RepoType = Literal["model", "dataset", "space"]
SpaceSdk = Literal["gradio", "static"]

MAX_ATTEMPTS = 4
MAX_WAIT_SECONDS = 300.0
"""Maximum pause in seconds: rate limits have windows of five minutes (https://huggingface.co/docs/hub/rate-limits)."""
TRANSIENT = (408, 412, 429, 500, 502, 503, 504)
"""HTTP statuses of transient errors; 412 means that the repository has a new commit."""
PERMANENT = ("ConnectError", "InvalidURL", "LocalProtocolError", "UnsupportedProtocol")
"""Transport exceptions that are not retried."""
TRANSPORTS = ("httpx2", "httpx", "requests")
"""Modules of the transport exceptions that different versions of huggingface_hub raise."""


@dataclass(frozen=True)
class Upload:
    """Result of an upload.

    Attributes:
        repo_id: `namespace/name`.
        url: URL of the repository or of the pull request.
        commit: Hash of the commit with the files.
        changed: Whether a commit was made; False if the repository was up to date.
    """

    repo_id: str
    url: str
    commit: str
    changed: bool


def download_model(
    repo_id: str,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    all_files: bool = False,
) -> Path:
    """Download the files of a model repository to the Hub cache and return their folder.

    Args:
        repo_id: `namespace/name`.
        revision: Branch, tag or commit.
        token: Hub token; by default, HF_TOKEN or the token saved by `hf auth login`. False sends no token.
        cache_dir: Cache folder; by default, that of huggingface_hub.
        local_files_only: Whether to use only cached files.
        all_files: Whether to download the whole model folder rather than only the files required for prediction.

    Raises:
        ModelError: The repository or revision does not exist, access is denied, the Hub cannot be reached and nothing
            is cached, or a file is missing.
        UsageError: The token is malformed.
    """
    extra_patterns = (*KERAS_FILES, CARD_FILE, f"{TRAINING_FOLDER}/*") if all_files else ()
    folder = download_files(
        repo_id,
        [*PREDICTION_FILES, *extra_patterns],
        revision=revision,
        token=token,
        cache_dir=cache_dir,
        local_files_only=local_files_only,
        error_class=ModelError,
    )
    missing = [name for name in PREDICTION_FILES if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"{_location(repo_id, revision)}: not an evenmood model, missing files: {', '.join(missing)}")
    return folder


def download_files(
    repo_id: str,
    patterns: Iterable[str],
    repo_type: RepoType = "model",
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    error_class: type[EvenmoodError] = HubError,
) -> Path:
    """Download the files of a repository that match patterns to the Hub cache and return their folder.

    Raises:
        HubError: The repository or revision does not exist, access is denied, or the Hub cannot be reached and nothing
            is cached; `error_class` sets another exception class.
        UsageError: The token is malformed.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub import errors as hub_errors

    location = _location(repo_id, revision)
    try:
        check_id(repo_id)
    except UsageError:
        raise error_class(f"{repo_id!r} is neither a local folder nor a Hub id (namespace/name)") from None
    # When offline, do not create an HTTP client: it would validate the proxy environment variables.
    offline = next(
        (
            reason
            for reason in (
                "local_files_only is set" if local_files_only else None,
                "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else None,
                proxies.find_problem(),
            )
            if reason
        ),
        None,
    )

    token = credentials.hub_token(token, implicit=not offline)

    def snapshot() -> str:
        return snapshot_download(
            repo_id,
            repo_type=repo_type,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            local_files_only=offline is not None,
            allow_patterns=list(patterns),
        )

    with _convert_errors(location, error_class):
        try:
            return Path(snapshot() if offline else retry(snapshot))
        except hub_errors.GatedRepoError:
            raise error_class(
                f"{location}: access is gated; request access on the repository's page and run: hf auth login"
            ) from None
        except hub_errors.RepositoryNotFoundError:
            raise error_class(
                f"{repo_id!r} is neither a local folder nor an accessible Hub repository; "
                "check the name, or, if it is private, run: hf auth login"
            ) from None
        except hub_errors.LocalEntryNotFoundError as error:
            reason = offline or f"the Hub cannot be reached{_proxy_hint()}"
            if isinstance(error.__cause__, hub_errors.HfHubHTTPError):
                reason = f"the Hub rejected the request (HTTP {error.__cause__.response.status_code})"
            raise error_class(f"no local folder {repo_id!r}, and {location} is not cached: {reason}") from None


def check_id(repo_id: str) -> None:
    """Raise `UsageError` if a name is not a valid repository id."""
    from huggingface_hub import errors as hub_errors
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(repo_id)
    except hub_errors.HFValidationError:
        raise UsageError(f"{repo_id!r} is not a Hub id; expected namespace/name") from None


def _location(repo_id: str, revision: str | None) -> str:
    return f"{repo_id!r} on the Hub" + (f" at revision {revision!r}" if revision else "")


def upload(
    folder: Path,
    repo_id: str,
    *,
    message: str,
    delete_patterns: Iterable[str] = (),
    repo_type: RepoType = "model",
    space_sdk: SpaceSdk = "gradio",
    private: bool | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    token: str | bool | None = None,
    prepare: Callable[["HfApi", str], Any] = lambda api, repo_id: None,
) -> Upload:
    """Upload a folder in one commit; the repository is created if it does not exist.

    The commit names its parent; if the branch has a new commit in the meantime, the upload is retried on top of
    it. After a failure, the repository is unchanged. (`HfApi.upload_folder` may split a folder into several commits.)

    Args:
        folder: Folder to upload.
        repo_id: `namespace/name`, or only the name to use the namespace of the token's owner.
        message: Commit message.
        delete_patterns: Patterns of repository files to delete if they are not in the folder.
        repo_type: `model`, `dataset` or `space`.
        space_sdk: What a new Space runs: `gradio`, or `static` for a page without a server.
        private: Whether a new repository is private; by default, as set in the account.
        revision: Branch, created if it does not exist, or `refs/pr/N` for an existing pull request.
        create_pr: Whether to open a pull request instead of committing to the branch.
        token: Hub token; by default, HF_TOKEN or the token saved by `hf auth login`.
        prepare: Called with the client and the full repository id before the commit.

    Raises:
        UsageError: `create_pr` is combined with a branch other than `main`, or the token is malformed.
        HubError: Access is denied, the Hub cannot be reached, or it rejects the card.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    if create_pr and revision not in (None, "main"):
        raise UsageError(f"revision is {revision!r}; a pull request requires 'main' or no revision")
    api = HfApi(token=credentials.hub_token(token))
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    first_parent: list[str] = []
    sdk = space_sdk if repo_type == "space" else None

    def commit() -> Upload:
        repo = api.create_repo(repo_id, repo_type=repo_type, private=private, space_sdk=sdk, exist_ok=True)
        target: dict[str, Any] = {"repo_id": repo.repo_id, "repo_type": repo_type}
        if revision is not None and not revision.startswith("refs/") and not create_pr:
            api.create_branch(**target, branch=revision, exist_ok=True)
        prepare(api, repo.repo_id)
        parent: Any = api.repo_info(**target, revision=revision)
        existing = [entry.rfilename for entry in parent.siblings or []]
        stale = [
            name
            for name in existing
            if name not in names and any(fnmatch(name, pattern) for pattern in delete_patterns)
        ]
        additions = [CommitOperationAdd(name, folder / name) for name in names]
        first_parent.append(parent.sha)
        try:
            info = api.create_commit(
                **target,
                operations=[*additions, *(CommitOperationDelete(name) for name in stale)],
                commit_message=message,
                revision=revision,
                create_pr=create_pr,
                parent_commit=parent.sha,
            )
        except Exception as error:
            if create_pr and is_transport_error(_cause(error)):
                advice = "the pull request may exist already: check before you retry"
                raise HubError(f"{repo_id!r} on the Hub: {_reason(error)}; {advice}") from None
            raise
        # Compare with the commit before the first attempt, whose response may have been lost.
        return Upload(repo.repo_id, info.pr_url or str(repo), info.oid, info.oid != first_parent[0])

    with convert_errors(f"{repo_id!r} on the Hub", HubError):
        return retry(commit)


def retry(call: Callable[[], T]) -> T:
    """Call a function, and retry after transient errors: after the time in `Retry-After`, or after 1, 2 and 4 seconds.

    Raises:
        HubError: A proxy environment variable is invalid.
        UsageError: The token from the environment is malformed.
    """
    _check_proxies("the Hub cannot be reached", HubError)
    for attempt in range(MAX_ATTEMPTS):
        try:
            return call()
        except Exception as error:
            _check_header(error)
            pause = _retry_delay(error, attempt)
            if pause is None or attempt == MAX_ATTEMPTS - 1:
                raise
            logger.warning("Hub request failed (%s); retrying in %.0f s", _reason(error), pause)
            sleep(pause)
    raise AssertionError("unreachable")


def _retry_delay(error: BaseException, attempt: int) -> float | None:
    """Return the seconds to wait before a retry; None for a permanent error."""
    error = _cause(error)
    response = getattr(error, "response", None)
    if response is not None:
        if response.status_code not in TRANSIENT:
            return None
        retry_after = response.headers.get("Retry-After", "")
        window = re.search(r"\bt=(\d+)", response.headers.get("RateLimit", ""))  # the Hub's header with status 429
        if response.status_code == 429 and window:
            retry_after = str(int(window[1]) + 1)
        return min(float(retry_after), MAX_WAIT_SECONDS) if retry_after.isdecimal() else 2.0**attempt
    if type(error).__name__ in PERMANENT:
        return None
    return 2.0**attempt if is_transport_error(error) else None


def _cause(error: BaseException) -> BaseException:
    """Return the root cause of an error: "nothing is cached" or "error while uploading" often hide a Hub error."""
    while getattr(error, "response", None) is None and not is_transport_error(error):
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None:
            break
        error = cause
    return error


def is_transport_error(error: BaseException) -> bool:
    """Return whether an error was raised by the HTTP transport."""
    names = type(error).__module__.split(".")[0], type(error).__name__
    return names[0] in TRANSPORTS or names[1] == "XetDownloadError"


def _check_proxies(location: str, error_class: type[EvenmoodError]) -> None:
    """Raise an error that names the proxy variable if it is invalid."""
    from huggingface_hub import constants

    problem = proxies.find_problem()
    if problem and not constants.HF_HUB_OFFLINE:
        raise error_class(f"{location}: {problem}")


def _check_header(error: Exception) -> None:
    """Raise `UsageError` if the token from the environment cannot be sent in a header."""
    if isinstance(error, UnicodeError) or type(_cause(error)).__name__ == "LocalProtocolError":
        credentials.check_environment()


@contextmanager
def convert_errors(location: str, error_class: type[EvenmoodError]) -> Iterator[None]:
    """Convert exceptions of huggingface_hub to one-line errors of the class `error_class`, with advice."""
    _check_proxies(location, error_class)
    with _convert_errors(location, error_class):
        yield


@contextmanager
def _convert_errors(location: str, error_class: type[EvenmoodError]) -> Iterator[None]:
    from huggingface_hub import errors as hub_errors

    try:
        yield
    except EvenmoodError:
        raise
    except hub_errors.HFValidationError:
        raise error_class(f"{location}: not a Hub id; expected namespace/name") from None
    except hub_errors.RevisionNotFoundError:
        raise error_class(f"{location}: no such revision") from None
    except hub_errors.LocalTokenNotFoundError:
        raise error_class(f"{location}: not logged in; set HF_TOKEN or run: hf auth login") from None
    except hub_errors.HfHubHTTPError as error:
        raise error_class(f"{location}: the Hub rejected the request ({_reason(error)}); {_advice(error)}") from None
    except Exception as error:
        if isinstance(error, OSError) and error.filename and not is_transport_error(error):
            raise  # an error of the disk, not of the Hub
        _check_header(error)
        raise error_class(f"{location}: {_reason(error)}; {_advice(error)}") from None


def _reason(error: BaseException) -> str:
    error = _cause(error)
    response = getattr(error, "response", None)
    if response is not None:
        message = getattr(error, "server_message", None)
        return f"HTTP {response.status_code}" + (f": {_truncate(message)}" if message else "")
    return f"{type(error).__name__}: {_truncate(str(error))}"


def _truncate(message: str) -> str:
    return " ".join(redact(message).split())[:200]  # redact first: a truncated token would not be recognized


def _proxy_hint() -> str:
    """Return the names of the proxy variables in use, for an error message."""
    names = proxies.variables_in_use()
    return f" (proxy set by {', '.join(names)})" if names else ""


def _advice(error: BaseException) -> str:
    if isinstance(error, ValueError) and "README.md" in str(error):
        return "fix the card's front matter"
    error = _cause(error)
    response = getattr(error, "response", None)
    status = None if response is None else response.status_code
    if status == 401:
        return "check the token, or run: hf auth login"
    if status in (403, 404):
        return "check the name and the token's write permission"
    if status == 412:
        return "the repository is receiving other commits; retry later"
    if type(error).__name__ == "ConnectError":
        return f"the Hub cannot be reached{_proxy_hint()}; check the network"
    return "retry later"
