#!/usr/bin/env python3
"""Makes tests/golden/training/trace.json: the first ten steps of a small GPT as PyTorch trains it.

The model is nanoGPT's CPU configuration (4 layers, 4 heads, 128 wide, 64 positions, pre-LN without biases, GELU by erf,
tied head), the batch 12 windows of 64 tokens, AdamW (0.9, 0.99), decay 0.1 on matrices, clipping at 1, a warm-up of 5
steps. Initial weights and tokens are made from counters by the formulas below, which the test follows to the bit.

    OMP_NUM_THREADS=1 venv/bin/python tools/make_golden_training.py
"""
import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

OUT = Path(__file__).resolve().parent.parent / "tests" / "golden" / "training"
LAYERS, HEADS, WIDTH, POSITIONS, VOCABULARY, BATCH, STEPS = 4, 4, 128, 64, 65, 12, 10
PEAK, MINIMUM, WARMUP, TOTAL = 1e-3, 1e-4, 5, 2000


def random_bits(key, count):
    """SplitMix64 as a counter: value i of the stream `key`."""
    with np.errstate(over="ignore"):
        z = np.uint64(key) + (np.arange(count, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def key_of(name):
    """FNV-1a."""
    key = 0xCBF29CE484222325
    for byte in name.encode():
        key = (key ^ byte) * 0x100000001B3 % 2**64
    return key


def weight(name, *shape):
    """Uniform with the deviation of GPT-2's initial weights; norms 1."""
    if len(shape) == 1:
        return torch.ones(shape)
    deviation = 0.02 / math.sqrt(2 * LAYERS) if "c_proj" in name else 0.02
    unit = (random_bits(key_of(name), math.prod(shape)) >> np.uint64(40)).astype(np.float64) * 2.0**-24 - 0.5
    return torch.from_numpy((unit * (2 * math.sqrt(3) * deviation)).astype(np.float32).reshape(shape))


def tokens_of_step(step):
    """Skewed to small ids, so that there is something to learn."""
    draws = (random_bits(step, BATCH * (POSITIONS + 1)) % np.uint64(1000)).astype(np.int64)
    return torch.from_numpy(draws * draws * VOCABULARY // 1_000_000).reshape(BATCH, POSITIONS + 1)


def make_parameters():
    p = {"wte": weight("transformer.wte.weight", VOCABULARY, WIDTH), "wpe": weight("transformer.wpe.weight", POSITIONS, WIDTH),
         "ln_f": weight("transformer.ln_f.weight", WIDTH)}
    for i in range(LAYERS):
        at = f"transformer.h.{i}."
        for name, shape in (("ln_1", (WIDTH,)), ("attn.c_attn", (WIDTH, 3 * WIDTH)), ("attn.c_proj", (WIDTH, WIDTH)),
                            ("ln_2", (WIDTH,)), ("mlp.c_fc", (WIDTH, 4 * WIDTH)), ("mlp.c_proj", (4 * WIDTH, WIDTH))):
            p[f"{i}.{name}"] = weight(f"{at}{name}.weight", *shape)
    return {name: torch.nn.Parameter(value) for name, value in p.items()}


def loss_of(p, tokens):
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    x = p["wte"][inputs] + p["wpe"][: inputs.shape[1]]
    norm = lambda name, value: F.layer_norm(value, (WIDTH,), p[name], None, 1e-5)
    for i in range(LAYERS):
        q, k, v = (norm(f"{i}.ln_1", x) @ p[f"{i}.attn.c_attn"]).split(WIDTH, dim=2)
        q, k, v = (part.unflatten(2, (HEADS, WIDTH // HEADS)).transpose(1, 2) for part in (q, k, v))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + mixed.transpose(1, 2).flatten(2) @ p[f"{i}.attn.c_proj"]
        x = x + F.gelu(norm(f"{i}.ln_2", x) @ p[f"{i}.mlp.c_fc"]) @ p[f"{i}.mlp.c_proj"]
    logits = norm("ln_f", x) @ p["wte"].T
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def learning_rate(step):
    if step < WARMUP:
        return PEAK * (step + 1) / (WARMUP + 1)
    done = (step - WARMUP) / (TOTAL - WARMUP)
    return MINIMUM + 0.5 * (1 + math.cos(math.pi * done)) * (PEAK - MINIMUM)


def main():
    p = make_parameters()
    matrices = [value for value in p.values() if value.dim() >= 2]
    vectors = [value for value in p.values() if value.dim() < 2]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
                                  lr=PEAK, betas=(0.9, 0.99), eps=1e-8)
    trace = []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        optimizer.zero_grad()
        loss = loss_of(p, tokens_of_step(step))
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(p.values(), 1.0)
        optimizer.step()
        trace.append({"loss": loss.item(), "gradient_norm": norm.item(), "learning_rate": learning_rate(step)})
        print(trace[-1])
    OUT.mkdir(exist_ok=True)
    (OUT / "trace.json").write_text(json.dumps(trace, indent=1) + "\n")


if __name__ == "__main__":
    main()
