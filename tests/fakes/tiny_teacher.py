"""Tiny teachers for tests: one with random weights, and one trained on a few texts."""

import string
from collections.abc import Sequence
from pathlib import Path

from evenmood import LABELS
from evenmood.text.normalization import clean
from tests.small_data import FILLERS

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LETTERS = string.ascii_lowercase
WORDS = (
    *LABELS,
    *FILLERS,
    "thank",
    "you",
    "so",
    "much",
    "##ful",
    "##ish",
    "!",
    *LETTERS,
    *(f"##{letter}" for letter in LETTERS),
)


def write_encoder(
    folder: Path,
    labels: Sequence[str],
    words: Sequence[str] = WORDS,
    size: int = 16,
    spread: float = 0.5,
    layers: int = 1,
) -> Path:
    """Save a small transformers encoder with random weights, and its tokenizer."""
    import torch
    import transformers

    torch.manual_seed(0)
    vocabulary = list(dict.fromkeys([*SPECIAL, *words]))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=size,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=size,
        initializer_range=spread,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
        problem_type="multi_label_classification",
    )
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def train_teacher(folder: Path, texts: Sequence[str], labels: Sequence[int], steps: int = 150) -> Path:
    """Train a small encoder on texts with one label each, and save it."""
    import torch
    import transformers

    words = sorted({word for text in texts for word in clean(text).split()})
    write_encoder(folder, LABELS, words, size=64, spread=0.1)
    torch.manual_seed(0)
    network = transformers.BertForSequenceClassification.from_pretrained(folder).train()
    tokenizer = transformers.BertTokenizerFast.from_pretrained(folder)
    batch = tokenizer(list(texts), padding=True, return_tensors="pt")
    truth = torch.nn.functional.one_hot(torch.tensor(labels), len(LABELS)).float()
    weight = torch.full((len(LABELS),), 5.0)  # compensates for having only one positive label of 28
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(steps):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(**batch).logits, truth, pos_weight=weight)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    network.save_pretrained(folder)
    return folder
