"""Opening a model folder: the tokenizer and the network, each checked against the other and against `emotions.json`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from tokenizers import Tokenizer

from evenmood.errors import EvenmoodError, ModelError, UsageError
from evenmood.model.model_folder import INFO_FILE, ONNX_FILE, TOKENIZER_FILE, ModelInfo, parse_info, read_files
from evenmood.onnx.encoder_check import check_encoder_tokenizer, check_operators
from evenmood.onnx.foreign_errors import is_foreign, one_line
from evenmood.onnx.graph_check import check_graph
from evenmood.onnx.inference import BATCH_ROWS, TextTokenizer
from evenmood.onnx.network import Network, open_session
from evenmood.onnx.onnx_files import OnnxFile, check_self_contained, read_onnx
from evenmood.onnx.tokenizer_check import check_components, check_content
from evenmood.onnx.vocabulary import SIZE_KEY, check_vocabulary
from evenmood.system.paths import expanded
from evenmood.text.encoder_tokenizer import EncoderTokenizer
from evenmood.text.fast_batch_tokenizer import BatchTokenizer
from evenmood.text.normalization import PAD, PAD_ID, UNKNOWN, UNKNOWN_ID

MOST_BYTES = 1 << 31
"""Memory that a batch of texts of full length may take."""
BUNDLED = {"fast": "default_model", "accurate": "accurate_model"}
"""Folder of each bundled model. A Hub id has an owner, so that none is called like them."""
LONGEST_ID = 96
"""Characters of a Hub id, by the Hub's own rule."""


@dataclass(frozen=True)
class LoadedModel:
    """A model folder as it was read.

    Attributes:
        files: Content of each file that predicting needs.
        info: What `emotions.json` says.
        tokenizer: Gives token ids.
        network: Gives probabilities.
    """

    files: Mapping[str, bytes]
    info: ModelInfo
    tokenizer: TextTokenizer
    network: Network


def load_model(folder: Path) -> LoadedModel:
    """Load the model of a folder that holds `model.onnx`, `tokenizer.json` and `emotions.json`.

    Raises:
        ModelError: A file is missing, damaged, or does not fit the others.
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
        raise ModelError(f"{path}: its table has {sizes.vocabulary} rows for a vocabulary of {size} words")
    needed = 4 * sizes.floats_per_token * info.max_length * BATCH_ROWS
    if needed > MOST_BYTES:
        raise ModelError(
            f"{path}: a batch of texts of {info.max_length} tokens would take {needed / 1e9:.1f} GB of memory; "
            f"at most {MOST_BYTES / 1e9:.1f} GB are allowed"
        )
    check_vocabulary(model.metadata, size, files[TOKENIZER_FILE], folder / TOKENIZER_FILE)
    network = Network(open_session(files[ONNX_FILE], path))
    return LoadedModel(files, info, BatchTokenizer(tokenizer, info.max_length), network)


def _load_encoder(folder: Path, files: dict[str, bytes], info: ModelInfo) -> LoadedModel:
    """Sizes of its graph are not checked one by one: operators are, and the memory is limited."""
    tokenizer = _tokenizer(files[TOKENIZER_FILE], folder / TOKENIZER_FILE, check_encoder_tokenizer)
    path = folder / ONNX_FILE
    try:
        check_self_contained(files[ONNX_FILE])
        check_operators(files[ONNX_FILE])
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    session = open_session(files[ONNX_FILE], path, limited=True)
    found = [(entry.name, entry.type, tuple(entry.shape)) for entry in (*session.get_inputs(), *session.get_outputs())]
    axes = tuple(session.get_inputs()[0].shape) if session.get_inputs() else ()
    expected = [
        ("input_ids", "tensor(int32)", axes),
        ("probabilities", "tensor(float)", (*axes[:1], len(info.labels))),
    ]
    if found != expected or len(axes) != 2 or any(isinstance(axis, int) for axis in axes):
        raise ModelError(
            f"{path}: expected input input_ids and output probabilities for the {len(info.labels)} labels of "
            f"{INFO_FILE}; export the model again"
        )
    try:
        metadata = session.get_modelmeta().custom_metadata_map
        size = _check_size(metadata, tokenizer)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    check_vocabulary(metadata, size, files[TOKENIZER_FILE], folder / TOKENIZER_FILE)
    return LoadedModel(files, info, EncoderTokenizer(tokenizer, info.max_length), Network(session))


def load_tokenizer(folder: Path) -> Tokenizer:
    """Open `tokenizer.json`, without truncation and padding; `ModelError` if it is no tokenizer of ours."""
    content = read_files(folder, [TOKENIZER_FILE])[TOKENIZER_FILE]
    return _tokenizer(content, folder / TOKENIZER_FILE, check_components)


def bundled_folder(name: str = "fast") -> Path:
    """The folder of a bundled model."""
    return Path(str(resources.files("evenmood"))) / BUNDLED[name]


def local_folder(model: str | Path | None, revision: str | None) -> Path | None:
    """The folder that a model's name means: None for a Hub id, a bundled model's for its name and for None.

    Raises:
        ModelError: The name is empty or too long, a file, or a path at which there is no folder.
        UsageError: A revision of a local folder or of the bundled model is asked for, or an empty one.
    """
    if model is None:
        if revision is not None:
            raise UsageError(f"the default model has no revision {revision!r:.100}; name a model on the Hub")
        return bundled_folder()
    if isinstance(model, str) and model in BUNDLED:
        if revision is not None:
            raise UsageError(f"the bundled model {model!r} has no revision {revision!r:.100}; name a model on the Hub")
        return bundled_folder(model)
    if isinstance(model, str) and not model.strip():
        raise ModelError(
            f"{model!r:.40} is not an evenmood model folder; name a folder or a Hub id, or no model at all"
        )
    try:
        folder = expanded(model, ModelError)
        if folder.is_dir():
            if revision is not None:
                raise UsageError(f"{folder} is a local folder, which has no revision {revision!r:.100}")
            return folder
        if folder.is_file():
            raise ModelError(f"{folder} is a file; give the folder that holds it")
    except EvenmoodError:
        raise
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise ModelError(f"{str(model)!r:.100}: {error.strerror}; give a folder or a Hub id") from None
    if isinstance(model, Path):
        raise ModelError(f"no folder {str(model)!r}")
    if len(model) > LONGEST_ID:
        raise ModelError(
            f"{model!r:.100}… is neither a folder here nor a Hub id, which has at most {LONGEST_ID} characters"
        )
    if revision is not None and not revision.strip():
        raise UsageError("the revision is empty; give a branch, tag or commit, or leave it out")
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
        if not (is_foreign(error) or isinstance(error, UnicodeDecodeError)):
            raise
        raise ModelError(f"{path}: not a tokenizer ({one_line(error)}); download or export the model again") from None
    for token, number in ((PAD, PAD_ID), (UNKNOWN, UNKNOWN_ID)):
        if tokenizer.token_to_id(token) != number:
            raise ModelError(f"{path}: {token} must have id {number}")
    return tokenizer


def _check_interface(model: OnnxFile, info: ModelInfo) -> None:
    outputs = {output.name: output for output in model.outputs}
    wanted = ["probabilities", "attention"] if info.attention else ["probabilities"]
    absent = [name for name in wanted if name not in outputs]
    if absent or [entry.name for entry in model.inputs] != ["input_ids"]:
        raise ModelError(f"expected input input_ids and outputs {', '.join(wanted)}; export the model again")
    columns = outputs["probabilities"].shape[-1:]
    if columns != (len(info.labels),):
        shown = f"{columns[0]!a:.20}" if columns else "no"
        raise ModelError(f"gives {shown} probabilities for the {len(info.labels)} labels of {INFO_FILE}")


def _check_size(metadata: Mapping[str, str], tokenizer: Tokenizer) -> int:
    """Number of ids by the metadata, if it is the tokenizer's. Not of entries: misspellings share the id of a word."""
    rows = metadata.get(SIZE_KEY, "")
    size = int(rows) if rows.isdecimal() and len(rows) < 10 else 0
    if not size or tokenizer.id_to_token(size - 1) is None or tokenizer.id_to_token(size) is not None:
        found = len(set(tokenizer.get_vocab().values()))
        shown = size or f"{rows!a:.20}"
        raise ModelError(f"made for a vocabulary of {shown} words, but {TOKENIZER_FILE} has {found}")
    return size
