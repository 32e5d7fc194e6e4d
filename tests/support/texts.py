"""A tiny BERT and its tokenizer, made on the spot."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

KIND, UNKIND = ("good", "fine", "great"), ("bad", "poor", "awful")
WORDS = (*KIND, *UNKIND, "the", "a", "film", "plot", "was", "is", "very", "not", "and")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def make_tokenizer_file(folder: Path) -> Path:
    """``tokenizer.json``: words in lower case, [CLS] in front, [SEP] behind each text."""
    vocabulary = {word: index for index, word in enumerate((*SPECIAL, *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "tokenizer.json"
    tokenizer.save(str(file))
    return file


def make_bert_folder(folder: Path, layers: int = 2) -> Path:
    """A Hugging Face folder: random BERT, 16 wide, and its tokenizer."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(SPECIAL) + len(WORDS),
        hidden_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(folder)
    make_tokenizer_file(folder)
    return folder


def make_texts(count: int, seed: int = 0) -> tuple[list[str], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Sentences of 1 to 12 words; label 1 where the first word is a kind one."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 2
    heads = [str(rng.choice(KIND if label else UNKIND)) for label in labels.tolist()]
    tails = [" ".join(rng.choice(WORDS[6:], rng.integers(0, 12))) for _ in range(count)]
    return [f"{head} {tail}".strip() for head, tail in zip(heads, tails, strict=True)], labels
