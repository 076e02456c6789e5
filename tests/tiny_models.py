"""Tiny random models of many architectures, as sentence-transformers folders."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

TEXTS = [
    "PostgreSQL keeps rows in pages of eight kilobytes.",
    "A cat sat on the mat.",
    "Der Hund schläft im Garten, während es REGNET.",
    "机器学习把文本变成向量 🙂",
    "A longer text, in which nothing much happens. " * 30,
    "a",
]
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<mask>"]
LONGEST = 160
"""Beyond the 128 tokens of distance that T5 and MPNet tell apart."""
SIZE = 32
_BASE = {
    "vocab_size": 512,
    "hidden_size": SIZE,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 192,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_OWN: dict[str, dict[str, Any]] = {
    "modernbert": {"local_attention": 8, "global_attn_every_n_layers": 2, "cls_token_id": 1, "sep_token_id": 2},
    "distilbert": {"dim": SIZE, "n_layers": 2, "n_heads": 4, "hidden_dim": 64},
    "gemma3_text": {
        "num_key_value_heads": 2,
        "head_dim": 8,
        "sliding_window": 16,
        "use_bidirectional_attention": True,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "qwen3": {"num_key_value_heads": 2, "head_dim": 8},
    "eurobert": {"num_key_value_heads": 2, "mask_token_id": 4},
}


def encoder(architecture: str, folder: Path) -> Any:
    """Return a random encoder of the architecture, with a tokenizer that is trained on `TEXTS`."""
    torch.manual_seed(1)
    config = transformers.AutoConfig.for_model(architecture, **{**_BASE, **_OWN.get(architecture, {})})
    kind: Any = transformers.T5EncoderModel if architecture == "t5" else transformers.AutoModel
    model = kind(config) if architecture == "t5" else kind.from_config(config)
    for parameter in model.parameters():  # the usual weights are so small that all vectors are alike
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    looks_back = architecture == "qwen3"
    fast: Any = transformers.PreTrainedTokenizerFast
    fast(
        tokenizer_object=tokenizer(begins=not looks_back and architecture != "t5"),
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        unk_token="<unk>",
        mask_token="<mask>",
        padding_side="left" if looks_back else "right",
        model_max_length=LONGEST,
    ).save_pretrained(folder)
    return Transformer(str(folder))


@functools.cache
def _vocabulary() -> str:
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizers.ByteLevel()
    trained.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet)
    trained.train_from_iterator(TEXTS, trainer)
    text: str = trained.to_str()
    return text


def tokenizer(*, begins: bool = True) -> Tokenizer:
    """Return a tokenizer that puts </s> behind each text, and <s> before it if it `begins`."""
    made = Tokenizer.from_str(_vocabulary())
    special = [("<s>", 1), ("</s>", 2)]
    made.post_processor = processors.TemplateProcessing("<s> $A </s>" if begins else "$A </s>", special_tokens=special)
    return made


def pooled(
    transformer: Transformer, folder: Path, pooling: Any = "mean", further: Sequence[Any] = (), **options: Any
) -> SentenceTransformer:
    """Save a model of these modules in the folder, and return it."""
    modules = [transformer, Pooling(SIZE, pooling), *further, Normalize()]
    model = SentenceTransformer(modules=modules, device="cpu", **options)
    model.save(str(folder))
    return model


def dense(columns: int, rows: int, activation: torch.nn.Module) -> Dense:
    torch.manual_seed(2)
    return Dense(columns, rows, activation_function=activation)
