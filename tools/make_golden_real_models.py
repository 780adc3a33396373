#!/usr/bin/env python3
"""Makes tests/golden/real_models/NAME.txt: what an independent reader finds in a real model file.

    OMP_NUM_THREADS=1 venv/bin/python tools/make_golden_real_models.py NAME=PATH...

PATH is a GGUF file or a Hugging Face folder. Lines of the result:
    tokens ID...                  the prompt: two sentences, by the model's own tokenizer
    columns ID...                 the vocabulary entries whose logits are kept, evenly spread
    row T best ID values X...     after token T: the largest logit's entry, and the logits of the columns
    weight TENSOR R CRC           CRC-32 of the little-endian float32 values of row R, dequantised by the gguf package
The logits are those of transformers in float32 on the dequantised weights.
"""
import sys
import zlib
from pathlib import Path

import gguf
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

OUT = Path(__file__).resolve().parent.parent / "tests" / "golden" / "real_models"
TEXT = ("Once upon a time, in a small village by the sea, there lived an old clockmaker who never slept. "
        "The capital of France is Paris; 12 + 30 = 42.")
COLUMNS = 64


def weight_lines(path):
    for index, tensor in enumerate(gguf.GGUFReader(path).tensors):
        if len(tensor.shape) != 2:
            continue
        row = index * 7919 % int(tensor.shape[1])
        values = gguf.quants.dequantize(tensor.data[row:row + 1], tensor.tensor_type).astype("<f4")
        yield f"weight {tensor.name} {row} {zlib.crc32(values.tobytes()):08x}"


@torch.no_grad()
def golden(name, path):
    where = dict(pretrained_model_name_or_path=path) if path.is_dir() else dict(
        pretrained_model_name_or_path=path.parent, gguf_file=path.name)
    tokens = AutoTokenizer.from_pretrained(**where)(TEXT).input_ids
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32).eval()
    model.set_attn_implementation("eager")
    logits = model(torch.tensor([tokens])).logits[0]
    stride = logits.shape[1] // COLUMNS
    columns = [i * stride for i in range(COLUMNS)]
    lines = ["tokens " + " ".join(map(str, tokens)), "columns " + " ".join(map(str, columns))]
    for t in sorted({*range(0, len(tokens), 6), len(tokens) - 1}):
        values = " ".join(f"{v:.9g}" for v in logits[t, columns].tolist())
        lines.append(f"row {t} best {int(logits[t].argmax())} values {values}")
    if path.is_file():
        lines += weight_lines(path)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"{name}.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for argument in sys.argv[1:]:
        model_name, _, model_path = argument.partition("=")
        golden(model_name, Path(model_path))
