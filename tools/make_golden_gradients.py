#!/usr/bin/env python3
"""Makes tests/golden/gradients: the loss and the gradient of every parameter of tiny models, as PyTorch computes them.

The models and their tokens are those of tests/golden/models (tools/make_golden_models.py), one of each architecture.
The tokens are two sequences of half the length side by side; a target is the token that follows, the last of each
sequence has none (-100). NAME.safetensors holds "loss" [1] and each parameter's gradient under the parameter's name.
float32, eager attention. Versions: tools/requirements.txt.

    OMP_NUM_THREADS=1 venv/bin/python tools/make_golden_gradients.py
"""
import struct
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

import make_golden_models

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "golden"
MODELS = ("llama", "llama_tied", "llama_biases", "mistral", "smollm3", "qwen2", "qwen3", "phi3", "gemma2", "gemma3", "gpt2",
          "plain_transformer")


def read_tokens(name):
    data = (GOLDEN / "models" / f"{name}.golden").read_bytes()
    count = struct.unpack_from("<i", data)[0]
    return list(struct.unpack_from(f"<{count}i", data, 12))


PLAIN_NAMES = {"self_attn.out_proj": "self_attn.o_proj", "norm1": "self_attn_layer_norm", "linear1": "fc1",
               "linear2": "fc2", "norm2": "final_layer_norm"}


def plain_parts(name, tensor):
    """A tensor of torch's layer as the file has it: names of its own, and q, k and v apart."""
    prefix, _, kind = name.rpartition(".")
    if name.endswith(("in_proj_weight", "in_proj_bias")):
        kind = name.rpartition("_")[2]
        return {f"model.{prefix}.{part}_proj.{kind}": rows for part, rows in zip("qkv", tensor.chunk(3))}
    for theirs, ours in PLAIN_NAMES.items():
        if prefix.endswith("." + theirs):
            prefix = prefix.removesuffix(theirs) + ours
            break
    return {f"model.{prefix}.{kind}": tensor}


def load_plain(folder):
    model, stored = make_golden_models.PlainTransformer(), load_file(folder / "model.safetensors")
    for name, parameter in model.named_parameters():
        parameter.data = torch.cat([stored[part] for part in plain_parts(name, parameter.data)])
    return model


def load(name):
    """The model, its logits for ids [B, T], and how the file names what belongs to a parameter."""
    folder = GOLDEN / "models" / name
    if name == "plain_transformer":
        model = load_plain(folder)
        return model, lambda ids: torch.stack([model(row.tolist()) for row in ids]), plain_parts
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    model.get_input_embeddings().padding_idx = None  # or the padding token's row would get no gradient
    return model, lambda ids: model(ids, use_cache=False).logits, lambda name, tensor: {name: tensor}


def main():
    out = GOLDEN / "gradients"
    out.mkdir(exist_ok=True)
    for name in MODELS:
        model, logits_of, parts = load(name)
        model.train(name == "plain_transformer")  # without dropout; torch's own layers fuse in eval()
        tokens = read_tokens(name)
        half = len(tokens) // 2
        ids = torch.tensor([tokens[:half], tokens[half:]])
        targets = torch.full_like(ids, -100)
        targets[:, :-1] = ids[:, 1:]
        logits = logits_of(ids)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)
        loss.backward()
        tensors = {"loss": loss.detach().reshape(1)}
        for parameter_name, parameter in model.named_parameters():
            tensors |= {part: rows.contiguous() for part, rows in parts(parameter_name, parameter.grad).items()}
        save_file(tensors, out / f"{name}.safetensors")
        print(f"{name}: loss {loss.item():.6f}, {len(tensors) - 1} gradients")


if __name__ == "__main__":
    main()
