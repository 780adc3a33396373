#!/usr/bin/env python3
"""The character model of tests/unit/train/char_shakespeare_test.cpp in PyTorch: what loss other seeds and another
implementation of the same definitions reach.

    OMP_NUM_THREADS=1 venv/bin/python bench/train/char_shakespeare_pytorch.py input.txt --seeds 1 2 3 4 5

nanoGPT's CPU configuration: 4 layers, 4 heads, 128 wide, windows of 64, batches of 12, 2,000 steps of AdamW (0.9, 0.99),
weight decay 0.1 on matrices and embeddings, clipping at 1, 1e-3 after 100 steps and by a cosine to 1e-4; weights normal with
deviation 0.02, the ends of residual branches 0.02 / sqrt(2 layers). The loss is the mean over the whole validation
split in windows that do not overlap, the last one shorter.
"""
import argparse
import math
import statistics
import time

import torch
import torch.nn.functional as F

LAYERS, HEADS, WIDTH, POSITIONS, BATCH, STEPS = 4, 4, 128, 64, 12, 2000
PEAK, MINIMUM, WARMUP = 1e-3, 1e-4, 100


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = (torch.nn.LayerNorm(WIDTH, bias=False) for _ in range(2))
        self.c_attn = torch.nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.attn_c_proj = torch.nn.Linear(WIDTH, WIDTH, bias=False)
        self.c_fc = torch.nn.Linear(WIDTH, 4 * WIDTH, bias=False)
        self.mlp_c_proj = torch.nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x):
        q, k, v = (part.unflatten(2, (HEADS, WIDTH // HEADS)).transpose(1, 2)
                   for part in self.c_attn(self.ln_1(x)).split(WIDTH, dim=2))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attn_c_proj(mixed.transpose(1, 2).flatten(2))
        return x + self.mlp_c_proj(F.gelu(self.c_fc(self.ln_2(x))))


class Gpt(torch.nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.wte, self.wpe = torch.nn.Embedding(vocabulary, WIDTH), torch.nn.Embedding(POSITIONS, WIDTH)
        self.blocks = torch.nn.ModuleList(Block() for _ in range(LAYERS))
        self.ln_f = torch.nn.LayerNorm(WIDTH, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                torch.nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * LAYERS) if "c_proj" in name else 0.02)

    def forward(self, ids, targets, reduction="mean"):
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return F.cross_entropy((self.ln_f(x) @ self.wte.weight.T).flatten(0, 1), targets.flatten(), reduction=reduction)


def learning_rate(step):
    if step < WARMUP:
        return PEAK * (step + 1) / (WARMUP + 1)
    done = (step - WARMUP) / (STEPS - WARMUP)
    return MINIMUM + 0.5 * (1 + math.cos(math.pi * done)) * (PEAK - MINIMUM)


@torch.no_grad()
def validation_loss(model, ids):
    windows = (len(ids) - 1) // POSITIONS
    inputs = ids[:windows * POSITIONS].view(-1, POSITIONS)
    targets = ids[1:windows * POSITIONS + 1].view(-1, POSITIONS)
    total = sum(model(a, b, "sum").item() for a, b in zip(inputs.split(128), targets.split(128)))
    rest = ids[windows * POSITIONS:]
    if len(rest) > 1:
        total += model(rest[None, :-1], rest[None, 1:], "sum").item()
    return total / (len(ids) - 1)


def train(seed, training, vocabulary):
    torch.manual_seed(seed)
    model = Gpt(vocabulary)
    matrices = [p for p in model.parameters() if p.dim() == 2]
    norms = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": norms, "weight_decay": 0.0}],
                                  lr=PEAK, betas=(0.9, 0.99), fused=True)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        at = torch.randint(len(training) - POSITIONS, (BATCH, 1)) + torch.arange(POSITIONS)
        model(training[at], training[at + 1]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", metavar="input.txt")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    arguments = parser.parse_args()
    with open(arguments.text, encoding="utf-8") as file:
        text = file.read()
    symbols = sorted(set(text))
    ids = torch.tensor([symbols.index(c) for c in text])
    border = int(0.9 * len(ids))
    losses = []
    for seed in arguments.seeds:
        start = time.perf_counter()
        model = train(seed, ids[:border], len(symbols))
        seconds = time.perf_counter() - start
        losses.append(validation_loss(model, ids[border:]))
        print(f"seed {seed}: validation loss {losses[-1]:.4f} after {seconds:.1f} s", flush=True)
    if len(losses) > 1:
        print(f"mean {statistics.mean(losses):.4f}, deviation {statistics.stdev(losses):.4f}")


if __name__ == "__main__":
    main()
