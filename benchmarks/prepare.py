"""Prepare the models to compare: RoBERTa, the bundled models, and the network in Keras and as an unfolded graph."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from evenmood import LABELS
from evenmood.model.loading import bundled_folder
from evenmood.model.model_folder import ONNX_FILE, TOKENIZER_FILE

ROBERTA_WORDS = 50_265
"""Vocabulary size of roberta-base."""


def prepare_evenmood(work_folder: Path, network: str | None) -> None:
    """Write the bundled models, and the network in Keras and as an unfolded ONNX graph.

    The unfolded graph keeps embedding and convolution as separate operators.

    Args:
        work_folder: Folder to write to.
        network: Model folder with Keras files of the bundled model; by default, random weights, which are as fast.
    """
    from train.network.backend import choose_backend

    choose_backend()
    import keras
    from tokenizers import Tokenizer

    from train.config import TrainConfig
    from train.network.export import export_onnx
    from train.network.network import build_network

    for model, name in (("fast", "evenmood"), ("accurate", "accurate")):
        shutil.copytree(bundled_folder(model), work_folder / name)
    tokenizer = work_folder / "evenmood" / TOKENIZER_FILE
    if network:
        model = keras.saving.load_model(network)
    else:
        words = len(set(Tokenizer.from_file(str(tokenizer)).get_vocab().values()))
        keras.utils.set_random_seed(0)
        vectors = np.random.default_rng(0).normal(0, 0.1, (words, TrainConfig.embedding_size)).astype(np.float32)
        model = build_network(TrainConfig(), vectors, len(LABELS))
    model.save(work_folder / "keras", zipped=False)
    (work_folder / "unfolded").mkdir()
    export_onnx(model, work_folder / "unfolded" / ONNX_FILE, folded=False)
    shutil.copyfile(tokenizer, work_folder / "unfolded" / TOKENIZER_FILE)
    _quantize_lstm(work_folder)


def _quantize_lstm(work_folder: Path) -> None:
    """Write the bundled model with LSTM weights in int8, for the comparison in docs/performance.md."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    shutil.copytree(work_folder / "evenmood", work_folder / "int8")
    source, target = work_folder / "evenmood" / ONNX_FILE, work_folder / "int8" / ONNX_FILE
    quantize_dynamic(source, target, op_types_to_quantize=["LSTM"], per_channel=True, weight_type=QuantType.QInt8)
    model = onnx.load(target)
    if not model.metadata_props:  # the quantizer may drop them
        model.metadata_props.extend(onnx.load(source).metadata_props)
    target.write_bytes(model.SerializeToString())


def prepare_roberta(work_folder: Path, source: str | None, texts: list[str]) -> None:
    """Write RoBERTa-base for torch and as int8 ONNX; see `save_roberta` for the arguments."""
    _quantize(save_roberta(work_folder, source, texts), work_folder)


def save_roberta(work_folder: Path, source: str | None, texts: list[str]) -> Any:
    """Save RoBERTa-base in the folder `roberta`, and return the model.

    Args:
        work_folder: Folder to write to.
        source: Folder or Hub id of a fine-tuned RoBERTa. By default the weights are random, which are as fast, and a
            byte-level BPE tokenizer of the same size is fitted to the texts, with no more tokens per text.
        texts: Training texts.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, RobertaConfig

    torch.manual_seed(0)
    if source:
        tokenizer = AutoTokenizer.from_pretrained(source)
        model = AutoModelForSequenceClassification.from_pretrained(source, attn_implementation="eager")
    else:
        tokenizer = _byte_pair_encoding(texts)
        config = RobertaConfig(
            vocab_size=ROBERTA_WORDS,
            max_position_embeddings=514,
            type_vocab_size=1,
            id2label=dict(enumerate(LABELS)),
            label2id={label: number for number, label in enumerate(LABELS)},
            problem_type="multi_label_classification",
        )
        model = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager")
    model.eval().save_pretrained(work_folder / "roberta")
    tokenizer.save_pretrained(work_folder / "roberta")
    return model


def _byte_pair_encoding(texts: list[str]) -> Any:
    from tokenizers import ByteLevelBPETokenizer
    from tokenizers.processors import RobertaProcessing
    from transformers import PreTrainedTokenizerFast

    special = {
        "bos_token": "<s>",
        "pad_token": "<pad>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
    }
    byte_pairs = ByteLevelBPETokenizer()
    byte_pairs.train_from_iterator(texts, ROBERTA_WORDS, show_progress=False, special_tokens=list(special.values()))
    first, last = ((token, byte_pairs.token_to_id(token)) for token in ("<s>", "</s>"))
    byte_pairs._tokenizer.post_processor = RobertaProcessing(last, first)
    return PreTrainedTokenizerFast(tokenizer_object=byte_pairs._tokenizer, **special)


def _quantize(model: Any, work_folder: Path) -> None:
    """Export with torch and quantize dynamically, with and without operators fused by onnxruntime's optimizer."""
    import warnings

    import onnx
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers import optimizer

    class Logits(torch.nn.Module):  # type: ignore[misc]
        """The model with tensors as inputs and output."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.model(input_ids=input_ids, attention_mask=attention_mask).logits

    ids = torch.arange(5, 23).reshape(2, 9)
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0  # a mask of only ones would become a constant
    names = ["input_ids", "attention_mask"]
    sizes = {name: {0: "n", 1: "time"} for name in names} | {"logits": {0: "n"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the deprecated exporter needs no other packages
        torch.onnx.export(
            Logits(),
            (ids, mask),
            str(work_folder / "roberta.onnx"),
            input_names=names,
            output_names=["logits"],
            dynamic_axes=sizes,
            dynamo=False,
            opset_version=17,
        )
    quantize_dynamic(work_folder / "roberta.onnx", work_folder / "roberta-int8.onnx", weight_type=QuantType.QInt8)
    heads, width = model.config.num_attention_heads, model.config.hidden_size
    fused = optimizer.optimize_model(str(work_folder / "roberta.onnx"), "bert", num_heads=heads, hidden_size=width)
    fused.save_model_to_file(str(work_folder / "roberta.onnx"))
    # The quantizer does not know the output types of fused operators.
    unknown = {"DefaultTensorType": onnx.TensorProto.FLOAT}
    quantize_dynamic(
        work_folder / "roberta.onnx",
        work_folder / "roberta-fused.onnx",
        weight_type=QuantType.QInt8,
        extra_options=unknown,
    )
    (work_folder / "roberta.onnx").unlink()
