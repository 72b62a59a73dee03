"""Opening a model folder: the tokenizer and the network, each checked against the other and against `emotions.json`."""

import os
from pathlib import Path

# onnxruntime reports its use to its maker, from any process that lives some seconds, unless this is set before it is
# imported: https://github.com/microsoft/onnxruntime/blob/main/docs/Privacy.md
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime
from tokenizers import Tokenizer

from evenmood import model_folder
from evenmood.errors import ModelError
from evenmood.model_folder import ModelInfo
from evenmood.onnx_files import check_self_contained
from evenmood.text import PAD, PAD_ID, UNKNOWN, UNKNOWN_ID
from evenmood.vocabulary import SIZE_KEY, same_vocabulary


def load_tokenizer(folder: Path) -> Tokenizer:
    """Open `tokenizer.json`, without truncation and padding; `ModelError` if it is no tokenizer of ours."""
    path = folder / model_folder.TOKENIZER_FILE
    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # the library raises bare Exception
        raise ModelError(f"{path}: not a tokenizer ({error}); download or export the model again") from None
    for token, number in ((PAD, PAD_ID), (UNKNOWN, UNKNOWN_ID)):
        if tokenizer.token_to_id(token) != number:
            raise ModelError(f"{path}: {token} must have id {number}")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def load_session(folder: Path, info: ModelInfo, tokenizer: Tokenizer) -> onnxruntime.InferenceSession:
    """Open `model.onnx`; `ModelError` if it is damaged or does not fit labels and vocabulary."""
    path = folder / model_folder.ONNX_FILE
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # `inference` gives each core batches of its own
    options.add_session_config_entry("session.load_model_format", "ONNX")
    content = path.read_bytes()
    try:
        check_self_contained(content)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    try:
        session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no public base class
        reason = str(error).splitlines()[0]
        raise ModelError(f"{path}: damaged or not an ONNX model ({reason}); download or export it again") from None
    outputs = {output.name: output for output in session.get_outputs()}
    wanted = ["probabilities", "attention"] if info.attention else ["probabilities"]
    absent = [name for name in wanted if name not in outputs]
    if absent or [entry.name for entry in session.get_inputs()] != ["input_ids"]:
        raise ModelError(f"{path}: expected input input_ids and outputs {', '.join(wanted)}; export the model again")
    columns = outputs["probabilities"].shape[-1]
    if columns != len(info.labels):
        raise ModelError(f"{path}: gives {columns} probabilities for the {len(info.labels)} labels of emotions.json")
    metadata = session.get_modelmeta().custom_metadata_map
    rows = metadata.get(SIZE_KEY, "")
    # Ids are counted, not entries: misspellings share the id of their word.
    size = int(rows) if rows.isdecimal() else 0
    if not size or tokenizer.id_to_token(size - 1) is None or tokenizer.id_to_token(size) is not None:
        found = len(set(tokenizer.get_vocab().values()))
        raise ModelError(f"{path}: made for a vocabulary of {rows} words, but tokenizer.json has {found}")
    if not same_vocabulary(metadata, (folder / model_folder.TOKENIZER_FILE).read_text(encoding="utf-8")):
        raise ModelError(
            f"{folder / model_folder.TOKENIZER_FILE}: its vocabulary is not the one that model.onnx was trained with; "
            "download or export the model again"
        )
    return session
