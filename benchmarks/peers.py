"""Models to benchmark, each loaded as a function from raw strings to labels.

Each peer runs under favorable conditions: a fast tokenizer, texts sorted by length to reduce padding (except Keras,
which traces each new shape), a suitable batch size, its library's default threads, and vectorized thresholds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

Predict = Callable[[list[str]], Any]
MAX_TOKENS = 128
THRESHOLD = 0.5


@dataclass(frozen=True)
class Peer:
    """A model to benchmark.

    Attributes:
        title: Title in tables.
        load: Loads the model from a folder prepared by `benchmarks.prepare`, and returns its prediction function.
        model: File or folder of the model in that folder.
        requires: Packages that the model requires.
    """

    title: str
    load: Callable[[Path], Predict]
    model: str
    requires: tuple[str, ...]


def _predict_by_length(
    texts: Sequence[str],
    tokenize: Callable[[Sequence[str]], list[Any]],
    run: Callable[[list[Any]], Any],
    batch_size: int,
) -> list[list[int]]:
    """Predict labels in batches of texts of similar length. `run` returns logits.

    Returns:
        Label indices of each text.
    """
    encoded = tokenize(texts)
    by_length = sorted(range(len(texts)), key=lambda row: len(encoded[row]))
    labels: list[list[int]] = [[] for _ in texts]
    for start in range(0, len(by_length), batch_size):
        rows = by_length[start : start + batch_size]
        logits = run([encoded[row] for row in rows])
        for row, above in zip(rows, logits > 0, strict=True):  # a logit of 0 is a probability of 0.5
            labels[row] = above.nonzero()[0].tolist()
    return labels


def _pad(rows: Sequence[Sequence[int]], padding: int) -> tuple[Any, Any]:
    import numpy as np

    lengths = np.array([len(row) for row in rows])
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(mask.shape, padding, np.int64)
    ids[mask] = [number for row in rows for number in row]
    return ids, mask.astype(np.int64)


def _load_transformers(name: str, dtype: str = "float32", batch_size: int = 32) -> Callable[[Path], Predict]:
    def load(work_folder: Path) -> Predict:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(work_folder / name)
        model = AutoModelForSequenceClassification.from_pretrained(
            work_folder / name, dtype=getattr(torch, dtype)
        ).eval()

        def run(rows: list[list[int]]) -> Any:
            ids, mask = _pad(rows, tokenizer.pad_token_id)
            inputs = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
            with torch.inference_mode():
                return model(**inputs).logits.float().numpy()

        def tokenize(texts: Sequence[str]) -> list[list[int]]:
            encoded: list[list[int]] = tokenizer(list(texts), truncation=True, max_length=MAX_TOKENS)["input_ids"]
            return encoded

        return lambda texts: _predict_by_length(texts, tokenize, run, batch_size)

    return load


def _load_roberta_int8(name: str) -> Callable[[Path], Predict]:
    def load(work_folder: Path) -> Predict:
        import onnxruntime
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(work_folder / "roberta" / "tokenizer.json"))
        tokenizer.enable_truncation(MAX_TOKENS)
        session = onnxruntime.InferenceSession(work_folder / name)
        padding = tokenizer.get_vocab()["<pad>"]

        def run(rows: list[list[int]]) -> Any:
            ids, mask = _pad(rows, padding)
            return session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]

        def tokenize(texts: Sequence[str]) -> list[list[int]]:
            return [encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts))]

        return lambda texts: _predict_by_length(texts, tokenize, run, batch_size=32)

    return load


def _load_keras(work_folder: Path) -> Predict:
    from train.network.backend import choose_backend

    choose_backend()
    import keras
    import numpy as np
    from tokenizers import Tokenizer

    from evenmood.text.normalization import MAX_LENGTH, encode

    model = keras.saving.load_model(work_folder / "keras")
    tokenizer = Tokenizer.from_file(str(work_folder / "unfolded" / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_LENGTH)
    tokenizer.enable_padding(length=MAX_LENGTH)  # one shape, because TensorFlow traces each new shape

    def predict(texts: list[str]) -> list[list[int]]:
        ids = encode(tokenizer, texts)
        # `predict` has overhead per call, so Keras recommends other methods for a single batch.
        probabilities = model.predict_on_batch(ids) if len(ids) <= 32 else model.predict(ids, batch_size=256, verbose=0)
        return [row.nonzero()[0].tolist() for row in np.asarray(probabilities) >= THRESHOLD]

    return predict


def _load_unfolded(work_folder: Path) -> Predict:
    """Load the ONNX network with the embedding and the convolution as separate layers.

    It runs with the tokenizers library and onnxruntime's defaults.
    """
    import numpy as np
    import onnxruntime
    from tokenizers import Tokenizer

    from evenmood.text.normalization import MAX_LENGTH, PAD, PAD_ID, POOL_SIZE, encode

    tokenizer = Tokenizer.from_file(str(work_folder / "unfolded" / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_LENGTH)
    tokenizer.enable_padding(pad_id=PAD_ID, pad_token=PAD, pad_to_multiple_of=POOL_SIZE)
    session = onnxruntime.InferenceSession(work_folder / "unfolded" / "model.onnx")

    def predict(texts: list[str]) -> list[list[int]]:
        ids = encode(tokenizer, texts)
        lengths = (ids != PAD_ID).sum(axis=1)
        by_length = np.argsort(lengths, kind="stable")
        labels: list[list[int]] = [[] for _ in texts]
        for start in range(0, len(by_length), 64):
            rows = by_length[start : start + 64]
            longest = -(-int(lengths[rows[-1]]) // POOL_SIZE) * POOL_SIZE
            (probabilities,) = session.run(["probabilities"], {"input_ids": ids[rows, :longest]})
            for row, above in zip(rows.tolist(), probabilities >= THRESHOLD, strict=True):
                labels[row] = above.nonzero()[0].tolist()
        return labels

    return predict


def load_classifier(work_folder: Path, name: str) -> Any:
    """Load a classifier from a folder.

    For `int8`, load `evenmood` and then replace its network, because the loader rejects int8 graphs.
    """
    import onnxruntime

    from evenmood import EmotionClassifier
    from evenmood.model.model_folder import ONNX_FILE

    if name != "int8":
        return EmotionClassifier.from_pretrained(work_folder / name)
    classifier = EmotionClassifier.from_pretrained(work_folder / "evenmood")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(work_folder / name / ONNX_FILE, options)
    classifier._loaded = replace(classifier._loaded, network=replace(classifier._loaded.network, session=session))
    return classifier


def _load_evenmood(name: str) -> Callable[[Path], Predict]:
    return lambda work_folder: load_classifier(work_folder, name).predict


TORCH, ONNX = ("torch", "transformers"), ("onnxruntime", "tokenizers")
PEERS = {
    "roberta_float32": Peer("RoBERTa-base, torch float32", _load_transformers("roberta"), "roberta", TORCH),
    "roberta_bfloat16": Peer(
        "RoBERTa-base, torch bfloat16", _load_transformers("roberta", "bfloat16"), "roberta", TORCH
    ),
    "roberta_int8": Peer(
        "RoBERTa-base, onnxruntime int8", _load_roberta_int8("roberta-int8.onnx"), "roberta-int8.onnx", ONNX
    ),
    "roberta_int8_fused": Peer(
        "RoBERTa-base, onnxruntime int8, fused", _load_roberta_int8("roberta-fused.onnx"), "roberta-fused.onnx", ONNX
    ),
    "teacher": Peer("MiniLM teacher, torch float32", _load_transformers("teacher", batch_size=64), "teacher", TORCH),
    "keras": Peer("our network, Keras forward pass", _load_keras, "keras", ("keras", "tensorflow-cpu", "tokenizers")),
    "unfolded": Peer("our network, unfolded ONNX graph", _load_unfolded, "unfolded", ONNX),
    "int8": Peer("evenmood with its LSTM in int8 (not released)", _load_evenmood("int8"), "int8", ("evenmood",)),
    "accurate": Peer("evenmood, accurate", _load_evenmood("accurate"), "accurate", ("evenmood",)),
    "evenmood": Peer("evenmood, fast", _load_evenmood("evenmood"), "evenmood", ("evenmood",)),
}
"""All peers in the order of the table; peers without files in the folder are skipped."""
