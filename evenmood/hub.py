"""Fetching a model from the Hugging Face Hub: only the files that predicting needs."""

from pathlib import Path

from evenmood.errors import ModelError
from evenmood.model_folder import PREDICTING_FILES


def download(
    repo_id: str,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> Path:
    """Download the predicting files of a Hub repository into the Hub's cache and return their folder.

    Raises:
        ModelError: No such repository or revision, no access, no network and nothing cached, or a file is missing.
    """
    from huggingface_hub import errors as hub_errors
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    at = f"{repo_id!r} on the Hub" + (f" at revision {revision!r}" if revision else "")
    try:
        validate_repo_id(repo_id)
        folder = Path(
            snapshot_download(
                repo_id,
                revision=revision,
                token=token,
                cache_dir=cache_dir,
                local_files_only=local_files_only,
                allow_patterns=list(PREDICTING_FILES),
            )
        )
    except hub_errors.HFValidationError:
        raise ModelError(f"{repo_id!r} is neither a folder here nor a Hub id (namespace/name)") from None
    except hub_errors.GatedRepoError:
        raise ModelError(f"{at}: access is gated; ask for it on its page and log in with: hf auth login") from None
    except hub_errors.RevisionNotFoundError:
        raise ModelError(f"{at}: no such revision") from None
    except hub_errors.RepositoryNotFoundError:
        raise ModelError(
            f"no folder {repo_id!r} here and no such repository on the Hub, or it is private: "
            "check the name, or log in with: hf auth login"
        ) from None
    except hub_errors.LocalTokenNotFoundError:
        raise ModelError(f"{at}: token=True, but nobody is logged in; log in with: hf auth login") from None
    except hub_errors.LocalEntryNotFoundError as error:
        reason = "local_files_only is set" if local_files_only else "the Hub cannot be reached"
        if isinstance(error.__cause__, hub_errors.HfHubHTTPError):
            reason = f"the Hub refused (HTTP {error.__cause__.response.status_code})"
        raise ModelError(f"no folder {repo_id!r} here, nothing of {at} is cached, and {reason}") from None
    except hub_errors.HfHubHTTPError as error:
        status = f" (HTTP {error.response.status_code})" if error.response is not None else ""
        raise ModelError(f"{at}: the Hub refused{status}; try again later, or check the token") from None
    except Exception as error:
        # A connection cut midway, a proxy's log-in page: the client passes on what its transport raises, which has
        # changed from one of its versions to the next.
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{at}: the download failed ({type(error).__name__}: {reason}); try again later") from None
    absent = [name for name in PREDICTING_FILES if not (folder / name).is_file()]
    if absent:
        raise ModelError(f"{at}: not an evenmood model, {' and '.join(absent)} missing")
    return folder
