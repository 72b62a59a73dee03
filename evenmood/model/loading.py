"""Load a model folder, and check that network, tokenizer and `emotions.json` are consistent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from tokenizers import Tokenizer

from evenmood.errors import EvenmoodError, ModelError, UsageError
from evenmood.model.model_folder import INFO_FILE, ONNX_FILE, TOKENIZER_FILE, ModelInfo, parse_info, read_files
from evenmood.onnx.backend_errors import is_backend_error, one_line
from evenmood.onnx.encoder_check import check_encoder_tokenizer, check_operators
from evenmood.onnx.graph_check import check_graph
from evenmood.onnx.inference import BATCH_ROWS, TextTokenizer
from evenmood.onnx.network import Network, open_session
from evenmood.onnx.onnx_files import OnnxFile, check_self_contained, read_onnx
from evenmood.onnx.tokenizer_check import check_components, check_content
from evenmood.onnx.vocabulary import SIZE_KEY, check_vocabulary
from evenmood.system.paths import expand_home
from evenmood.text.encoder_tokenizer import EncoderTokenizer
from evenmood.text.fast_batch_tokenizer import BatchTokenizer
from evenmood.text.normalization import PAD, PAD_ID, UNKNOWN, UNKNOWN_ID

MAX_BYTES = 1 << 31
"""Maximum memory of a batch of texts of maximum length, in bytes."""
BUNDLED = {"fast": "default_model", "accurate": "accurate_model"}
"""Folder of each bundled model. The names cannot be Hub ids, which contain a slash."""
MAX_ID_CHARS = 96
"""Maximum length of a Hub id, in characters."""


@dataclass(frozen=True)
class LoadedModel:
    """The content of a model folder.

    Attributes:
        files: Content of the files required for prediction.
        info: Parsed `emotions.json`.
        tokenizer: Converts texts to token ids.
        network: Converts token ids to probabilities.
    """

    files: Mapping[str, bytes]
    info: ModelInfo
    tokenizer: TextTokenizer
    network: Network


def load_model(folder: Path) -> LoadedModel:
    """Load a folder with `model.onnx`, `tokenizer.json` and `emotions.json`.

    Raises:
        ModelError: A file is missing, corrupt, or inconsistent with the others.
    """
    files = read_files(folder)
    info = parse_info(files[INFO_FILE], folder / INFO_FILE)
    return (_load_encoder if info.kind == "encoder" else _load_bilstm)(folder, files, info)


def _load_bilstm(folder: Path, files: dict[str, bytes], info: ModelInfo) -> LoadedModel:
    tokenizer = _tokenizer(files[TOKENIZER_FILE], folder / TOKENIZER_FILE, check_components)
    path = folder / ONNX_FILE
    try:
        check_self_contained(files[ONNX_FILE])
        model = read_onnx(files[ONNX_FILE])
        _check_interface(model, info)
        size = _check_size(model.metadata, tokenizer)
        sizes = check_graph(model)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    if sizes.vocabulary != size:
        raise ModelError(f"{path}: the embedding has {sizes.vocabulary} rows; expected {size}, the vocabulary size")
    required = 4 * sizes.floats_per_token * info.max_length * BATCH_ROWS
    if required > MAX_BYTES:
        raise ModelError(
            f"{path}: a batch of texts of {info.max_length} tokens would take {required / 1e9:.1f} GB of memory; "
            f"at most {MAX_BYTES / 1e9:.1f} GB are allowed"
        )
    check_vocabulary(model.metadata, size, files[TOKENIZER_FILE], folder / TOKENIZER_FILE)
    network = Network(open_session(files[ONNX_FILE], path))
    return LoadedModel(files, info, BatchTokenizer(tokenizer, info.max_length), network)


def _load_encoder(folder: Path, files: dict[str, bytes], info: ModelInfo) -> LoadedModel:
    """Load an encoder: its operators are checked, and its memory is limited instead of checking each size."""
    tokenizer = _tokenizer(files[TOKENIZER_FILE], folder / TOKENIZER_FILE, check_encoder_tokenizer)
    path = folder / ONNX_FILE
    try:
        check_self_contained(files[ONNX_FILE])
        check_operators(files[ONNX_FILE])
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    session = open_session(files[ONNX_FILE], path, limited=True)
    entries = (*session.get_inputs(), *session.get_outputs())
    interface = [(entry.name, entry.type, tuple(entry.shape)) for entry in entries]
    axes = tuple(session.get_inputs()[0].shape) if session.get_inputs() else ()
    expected = [
        ("input_ids", "tensor(int32)", axes),
        ("probabilities", "tensor(float)", (*axes[:1], len(info.labels))),
    ]
    if interface != expected or len(axes) != 2 or any(isinstance(axis, int) for axis in axes):
        raise ModelError(
            f"{path}: unexpected inputs or outputs; expected input_ids and probabilities for the {len(info.labels)} "
            f"labels of {INFO_FILE}; export the model again"
        )
    try:
        metadata = session.get_modelmeta().custom_metadata_map
        size = _check_size(metadata, tokenizer)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    check_vocabulary(metadata, size, files[TOKENIZER_FILE], folder / TOKENIZER_FILE)
    return LoadedModel(files, info, EncoderTokenizer(tokenizer, info.max_length), Network(session))


def load_tokenizer(folder: Path) -> Tokenizer:
    """Load `tokenizer.json`, without truncation and padding.

    Raises:
        ModelError: The file is missing, corrupt, or has unsupported components.
    """
    content = read_files(folder, [TOKENIZER_FILE])[TOKENIZER_FILE]
    return _tokenizer(content, folder / TOKENIZER_FILE, check_components)


def bundled_folder(name: str = "fast") -> Path:
    """Return the folder of a bundled model."""
    return Path(str(resources.files("evenmood"))) / BUNDLED[name]


def local_folder(model: str | Path | None, revision: str | None) -> Path | None:
    """Resolve the name of a model to a local folder; None for a Hub id.

    Args:
        model: A bundled name, a folder, or a Hub id; None for the default model.
        revision: Revision, which only a Hub id can have.

    Raises:
        ModelError: The name is empty, too long or that of a file, or the folder does not exist.
        UsageError: The revision is empty, or the model is not on the Hub.
    """
    if model is None:
        if revision is not None:
            raise UsageError(f"revision {revision!r:.100} requires a Hub id as model; the default model is bundled")
        return bundled_folder()
    if isinstance(model, str) and model in BUNDLED:
        if revision is not None:
            raise UsageError(f"revision {revision!r:.100} requires a Hub id as model; the model {model!r} is bundled")
        return bundled_folder(model)
    if isinstance(model, str) and not model.strip():
        raise ModelError(
            f"{model!r:.40} is not an evenmood model folder; expected fast, accurate, a folder or a Hub id"
        )
    try:
        folder = expand_home(model, ModelError)
        if folder.is_dir():
            if revision is not None:
                raise UsageError(f"revision {revision!r:.100} requires a Hub id as model; {folder} is a local folder")
            return folder
        if folder.is_file():
            raise ModelError(f"{folder} is a file; expected the model folder")
    except EvenmoodError:
        raise
    except OSError as error:  # name too long, permission denied
        raise ModelError(f"{str(model)!r:.100}: {error.strerror}; expected a folder or a Hub id") from None
    if isinstance(model, Path):
        raise ModelError(f"no folder {str(model)!r}")
    if len(model) > MAX_ID_CHARS:
        raise ModelError(
            f"{model!r:.100}… is neither a local folder nor a Hub id, which has at most {MAX_ID_CHARS} characters"
        )
    if revision is not None and not revision.strip():
        raise UsageError("the revision is empty; expected a branch, tag or commit, or no revision")
    return None


def _tokenizer(content: bytes, path: Path, check: Callable[[Tokenizer], None]) -> Tokenizer:
    try:
        check_content(content)
        tokenizer = Tokenizer.from_str(content.decode("utf-8"))
        check(tokenizer)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode("Does it work?")
    except ModelError as error:
        raise ModelError(f"{path}: {error}; download or export the model again") from None
    except BaseException as error:
        if not (is_backend_error(error) or isinstance(error, UnicodeDecodeError)):
            raise
        raise ModelError(f"{path}: not a tokenizer ({one_line(error)}); download or export the model again") from None
    for token, token_id in ((PAD, PAD_ID), (UNKNOWN, UNKNOWN_ID)):
        if tokenizer.token_to_id(token) != token_id:
            raise ModelError(f"{path}: {token} must have id {token_id}")
    return tokenizer


def _check_interface(model: OnnxFile, info: ModelInfo) -> None:
    outputs = {output.name: output for output in model.outputs}
    expected = ["probabilities", "attention"] if info.attention else ["probabilities"]
    missing = [name for name in expected if name not in outputs]
    if missing or [entry.name for entry in model.inputs] != ["input_ids"]:
        raise ModelError(
            f"unexpected inputs or outputs; expected input_ids and {', '.join(expected)}; export the model again"
        )
    columns = outputs["probabilities"].shape[-1:]
    if columns != (len(info.labels),):
        count = f"{columns[0]!a:.20}" if columns else "no"
        raise ModelError(f"{count} output probabilities; expected {len(info.labels)}, the labels of {INFO_FILE}")


def _check_size(metadata: Mapping[str, str], tokenizer: Tokenizer) -> int:
    """Check the number of token ids in the metadata against the tokenizer, and return it.

    Several words may share an id (misspellings), so the ids are counted, not the vocabulary entries.
    """
    rows = metadata.get(SIZE_KEY, "")
    size = int(rows) if rows.isdecimal() and len(rows) < 10 else 0
    if not size or tokenizer.id_to_token(size - 1) is None or tokenizer.id_to_token(size) is not None:
        actual = len(set(tokenizer.get_vocab().values()))
        recorded_size = size or f"{rows!a:.20}"
        raise ModelError(
            f"exported for {recorded_size} token ids, but {TOKENIZER_FILE} has {actual}; "
            "download or export the model again"
        )
    return size
