"""The Hugging Face Hub: fetching a model's files, and uploading a folder in one commit."""

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
from evenmood.model.model_folder import CARD_FILE, KERAS_FILES, PREDICTING_FILES, TRAINING_FOLDER
from evenmood.system import credentials, proxies
from evenmood.system.redaction import redact

if TYPE_CHECKING:
    from huggingface_hub import HfApi

logger = logging.getLogger(__name__)
T = TypeVar("T")
RepoType = Literal["model", "dataset", "space"]

TRIES = 4
LONGEST_WAIT = 300.0
"""Seconds: the Hub counts requests in windows of five minutes (https://huggingface.co/docs/hub/rate-limits)."""
TRANSIENT = (408, 412, 429, 500, 502, 503, 504)
"""HTTP statuses that may be gone at the next try; 412 says that somebody else has committed in between."""
PERMANENT = ("ConnectError", "InvalidURL", "LocalProtocolError", "UnsupportedProtocol")
"""Exceptions of the transport after which another try is in vain: no network is not a matter of seconds."""
TRANSPORTS = ("httpx2", "httpx", "requests")
"""Modules whose exceptions the Hub's client lets through, from one of its versions to the next."""


@dataclass(frozen=True)
class Upload:
    """Result of an upload.

    Attributes:
        repo_id: `namespace/name`.
        url: Address of the repository, or of the pull request.
        commit: Hash of the commit that holds the files.
        changed: Whether a commit was made; False if the repository was already up to date.
    """

    repo_id: str
    url: str
    commit: str
    changed: bool


def download(
    repo_id: str,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    whole: bool = False,
) -> Path:
    """Download the files of a model repository into the Hub's cache and return their folder.

    Args:
        repo_id: `namespace/name`.
        revision: Branch, tag or commit.
        token: None takes the environment's or the login's, False sends none.
        cache_dir: Where downloads are kept; None for the Hub client's own place.
        local_files_only: Take what is in the cache and do not ask the Hub.
        whole: The whole model folder, and not just what predicting needs.

    Raises:
        ModelError: No such repository or revision, no access, no network and nothing cached, or a file is missing.
        UsageError: The token is malformed.
    """
    more = (*KERAS_FILES, CARD_FILE, f"{TRAINING_FOLDER}/*") if whole else ()
    folder = fetch(
        repo_id,
        [*PREDICTING_FILES, *more],
        revision=revision,
        token=token,
        cache_dir=cache_dir,
        local_files_only=local_files_only,
        kind=ModelError,
    )
    absent = [name for name in PREDICTING_FILES if not (folder / name).is_file()]
    if absent:
        raise ModelError(f"{_at(repo_id, revision)}: not an evenmood model, {' and '.join(absent)} missing")
    return folder


def fetch(
    repo_id: str,
    patterns: Iterable[str],
    repo_type: RepoType = "model",
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    kind: type[EvenmoodError] = HubError,
) -> Path:
    """Download the files of a repository that match patterns into the Hub's cache and return their folder.

    Raises:
        HubError: No such repository or revision, no access, no network and nothing cached; or the `kind` asked for.
        UsageError: The token is malformed.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub import errors as hub_errors

    at = _at(repo_id, revision)
    try:
        check_id(repo_id)
    except UsageError:
        raise kind(f"{repo_id!r} is neither a folder here nor a Hub id (namespace/name)") from None
    # Where the network is not to be used, not even a client is made: that alone would read the proxies.
    offline = next(
        (
            reason
            for reason in (
                "local_files_only is set" if local_files_only else None,
                "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else None,
                proxies.unusable(),
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

    with _translated(at, kind):
        try:
            return Path(snapshot() if offline else retrying(snapshot))
        except hub_errors.GatedRepoError:
            raise kind(f"{at}: access is gated; ask for it on its page and log in with: hf auth login") from None
        except hub_errors.RepositoryNotFoundError:
            raise kind(
                f"no folder {repo_id!r} here and no such repository on the Hub, or it is private: "
                "check the name, or log in with: hf auth login"
            ) from None
        except hub_errors.LocalEntryNotFoundError as error:
            reason = offline or f"the Hub cannot be reached{_through()}"
            if isinstance(error.__cause__, hub_errors.HfHubHTTPError):
                reason = f"the Hub refused (HTTP {error.__cause__.response.status_code})"
            raise kind(f"no folder {repo_id!r} here, nothing of {at} is cached, and {reason}") from None


def check_id(repo_id: str) -> None:
    """Raise `UsageError` where a name cannot be a repository's."""
    from huggingface_hub import errors as hub_errors
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(repo_id)
    except hub_errors.HFValidationError:
        raise UsageError(f"{repo_id!r} is not a Hub id; give namespace/name") from None


def _at(repo_id: str, revision: str | None) -> str:
    return f"{repo_id!r} on the Hub" + (f" at revision {revision!r}" if revision else "")


def upload(
    folder: Path,
    repo_id: str,
    *,
    message: str,
    replace: Iterable[str] = (),
    repo_type: RepoType = "model",
    private: bool | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    token: str | bool | None = None,
    prepare: Callable[["HfApi", str], Any] = lambda api, repo_id: None,
) -> Upload:
    """Upload files of a folder in one commit, into a repository that is created where there is none.

    The commit names its parent: where somebody else commits in between, it is retried on top of theirs. On any
    failure, the repository stays at its last whole commit. (`HfApi.upload_folder` may split a folder into several.)

    Args:
        folder: What goes there, whole.
        repo_id: `namespace/name`, or a name alone for the token's owner.
        message: The commit's.
        replace: Patterns; what the repository holds under them and the folder does not is deleted.
        repo_type: `model`, `dataset` or `space` (one that runs Gradio).
        private: Whether a new repository is private.
        revision: Branch, created where there is none; or `refs/pr/N`, a pull request that there is.
        create_pr: Open a pull request instead of committing to the branch.
        token: None takes the environment's or the login's.
        prepare: Called with the client and the repository's id before the commit.

    Raises:
        UsageError: A pull request is asked for against a branch other than `main`, or the token is malformed.
        HubError: No access, no network, a card that the Hub refuses; the message says which.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    if create_pr and revision not in (None, "main"):
        raise UsageError(f"a pull request is opened against main, not against {revision!r}")
    api = HfApi(token=credentials.hub_token(token))
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    first: list[str] = []
    sdk = "gradio" if repo_type == "space" else None

    def commit() -> Upload:
        where = api.create_repo(repo_id, repo_type=repo_type, private=private, space_sdk=sdk, exist_ok=True)
        place: dict[str, Any] = {"repo_id": where.repo_id, "repo_type": repo_type}
        if revision is not None and not revision.startswith("refs/") and not create_pr:
            api.create_branch(**place, branch=revision, exist_ok=True)
        prepare(api, where.repo_id)
        before: Any = api.repo_info(**place, revision=revision)
        held = [entry.rfilename for entry in before.siblings or []]
        stale = [name for name in held if name not in names and any(fnmatch(name, pattern) for pattern in replace)]
        added = [CommitOperationAdd(name, folder / name) for name in names]
        first.append(before.sha)
        try:
            made = api.create_commit(
                **place,
                operations=[*added, *(CommitOperationDelete(name) for name in stale)],
                commit_message=message,
                revision=revision,
                create_pr=create_pr,
                parent_commit=before.sha,
            )
        except Exception as error:
            if create_pr and of_transport(_cause(error)):
                advice = "the pull request may be there already: look before you try again"
                raise HubError(f"{repo_id!r} on the Hub: {_reason(error)}; {advice}") from None
            raise
        # An answer that was lost on the way: the second try finds what the first one did.
        return Upload(where.repo_id, made.pr_url or str(where), made.oid, made.oid != first[0])

    with explained(f"{repo_id!r} on the Hub", HubError):
        return retrying(commit)


def retrying(call: Callable[[], T]) -> T:
    """Call again, after a pause, where the Hub is busy, broken, or the connection was cut.

    The pause is what the Hub asks for (`Retry-After`), or 1, 2, 4 seconds.

    Raises:
        HubError: No request can be sent, for the environment names a proxy that cannot be used.
        UsageError: The environment's token is malformed.
    """
    _check_proxies("the Hub cannot be reached", HubError)
    for attempt in range(TRIES):
        try:
            return call()
        except Exception as error:
            _check_header(error)
            pause = _pause(error, attempt)
            if pause is None or attempt == TRIES - 1:
                raise
            logger.warning("the Hub failed (%s); trying again in %.0f s", _reason(error), pause)
            sleep(pause)
    raise AssertionError("unreachable")


def _pause(error: BaseException, attempt: int) -> float | None:
    """Seconds after which another try makes sense; None where it does not."""
    error = _cause(error)
    response = getattr(error, "response", None)
    if response is not None:
        if response.status_code not in TRANSIENT:
            return None
        asked = response.headers.get("Retry-After", "")
        window = re.search(r"\bt=(\d+)", response.headers.get("RateLimit", ""))  # the Hub's own header, with a 429
        if response.status_code == 429 and window:
            asked = str(int(window[1]) + 1)
        return min(float(asked), LONGEST_WAIT) if asked.isdecimal() else 2.0**attempt
    if type(error).__name__ in PERMANENT:
        return None
    return 2.0**attempt if of_transport(error) else None


def _cause(error: BaseException) -> BaseException:
    """What the client wrapped: "nothing is cached" or "error while uploading" often mean that the Hub failed."""
    while getattr(error, "response", None) is None and not of_transport(error):
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None:
            break
        error = cause
    return error


def of_transport(error: BaseException) -> bool:
    """Whether an error is the network's: none of the client's own, and none of ours."""
    names = type(error).__module__.split(".")[0], type(error).__name__
    return names[0] in TRANSPORTS or names[1] == "XetDownloadError"


def _check_proxies(at: str, kind: type[EvenmoodError]) -> None:
    """Raise where no request can be sent, with the name of the variable that is to blame."""
    from huggingface_hub import constants

    problem = proxies.unusable()
    if problem and not constants.HF_HUB_OFFLINE:
        raise kind(f"{at}: {problem}")


def _check_header(error: Exception) -> None:
    """Raise `UsageError` where a request could not be written for the environment's token."""
    if isinstance(error, UnicodeError) or type(_cause(error)).__name__ == "LocalProtocolError":
        credentials.check_environment()


@contextmanager
def explained(at: str, kind: type[EvenmoodError]) -> Iterator[None]:
    """Turn what the Hub's client raises into one line: what was refused, and what to do."""
    _check_proxies(at, kind)
    with _translated(at, kind):
        yield


@contextmanager
def _translated(at: str, kind: type[EvenmoodError]) -> Iterator[None]:
    from huggingface_hub import errors as hub_errors

    try:
        yield
    except EvenmoodError:
        raise
    except hub_errors.HFValidationError:
        raise kind(f"{at}: not a Hub id; give namespace/name") from None
    except hub_errors.RevisionNotFoundError:
        raise kind(f"{at}: no such revision") from None
    except hub_errors.LocalTokenNotFoundError:
        raise kind(f"{at}: nobody is logged in; set HF_TOKEN, or log in with: hf auth login") from None
    except hub_errors.HfHubHTTPError as error:
        raise kind(f"{at}: the Hub refused ({_reason(error)}); {_advice(error)}") from None
    except Exception as error:
        if isinstance(error, OSError) and error.filename and not of_transport(error):
            raise  # the disk's, not the Hub's
        _check_header(error)
        raise kind(f"{at}: {_reason(error)}; {_advice(error)}") from None


def _reason(error: BaseException) -> str:
    error = _cause(error)
    response = getattr(error, "response", None)
    if response is not None:
        said = getattr(error, "server_message", None)
        return f"HTTP {response.status_code}" + (f": {_short(said)}" if said else "")
    return f"{type(error).__name__}: {_short(str(error))}"


def _short(said: str) -> str:
    return " ".join(redact(said).split())[:200]  # in this order: half a token would not look like one


def _through() -> str:
    """The proxies that a request may have gone through, for a message."""
    names = proxies.used()
    return f" (proxy of {', '.join(names)})" if names else ""


def _advice(error: BaseException) -> str:
    if isinstance(error, ValueError) and "README.md" in str(error):
        return "mend the card's front matter"
    error = _cause(error)
    response = getattr(error, "response", None)
    status = None if response is None else response.status_code
    if status == 401:
        return "log in with: hf auth login, or check the token"
    if status in (403, 404):
        return "check the name, and whether the token may write there"
    if status == 412:
        return "somebody else keeps committing to it: try again later"
    if type(error).__name__ == "ConnectError":
        return f"the Hub cannot be reached{_through()}: check the network"
    return "try again later, or check the token"
