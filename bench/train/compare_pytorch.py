#!/usr/bin/env python3
"""Training steps of the same GPT-2 shapes here and in PyTorch (eager and compiled), alternately in one run.

    cmake --build build/release --target training_bench
    venv/bin/python bench/train/compare_pytorch.py [--rounds 5] [--shapes small] [--precisions f32 bf16]

A step is forward, loss, backward, clipping and AdamW on random tokens, with two threads on both sides. PyTorch runs
scaled_dot_product_attention and fused AdamW; bf16 is autocast with float32 weights. Prints the median tokens a second of
every round's median, the ratio to ours, and each side's peak of resident memory.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHAPES = {  # layers, heads, width, tokens, batch, vocabulary, steps
    "small": (4, 4, 128, 64, 12, 65, 40),
    "full": (6, 6, 384, 256, 16, 65, 6),
    "gpt2": (12, 12, 768, 256, 2, 50257, 2),
}


def torch_child(shape, precision, compiled):
    import resource
    import time

    import torch
    import torch.nn.functional as F

    layers, heads, width, tokens, batch, vocabulary, steps = SHAPES[shape]
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))

    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.ln_1, self.ln_2 = (torch.nn.LayerNorm(width, bias=False) for _ in range(2))
            self.c_attn = torch.nn.Linear(width, 3 * width, bias=False)
            self.c_proj = torch.nn.Linear(width, width, bias=False)
            self.c_fc = torch.nn.Linear(width, 4 * width, bias=False)
            self.mlp_proj = torch.nn.Linear(4 * width, width, bias=False)

        def forward(self, x):
            q, k, v = self.c_attn(self.ln_1(x)).split(width, dim=2)
            q, k, v = (part.unflatten(2, (heads, width // heads)).transpose(1, 2) for part in (q, k, v))
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.c_proj(mixed.transpose(1, 2).flatten(2))
            return x + self.mlp_proj(F.gelu(self.c_fc(self.ln_2(x))))

    class Gpt(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.wte, self.wpe = torch.nn.Embedding(vocabulary, width), torch.nn.Embedding(tokens, width)
            self.blocks = torch.nn.ModuleList(Block() for _ in range(layers))
            self.ln_f = torch.nn.LayerNorm(width, bias=False)

        def forward(self, ids, targets):
            x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
            for block in self.blocks:
                x = block(x)
            logits = self.ln_f(x) @ self.wte.weight.T
            return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())

    torch.manual_seed(1)
    model = Gpt()
    run = torch.compile(model) if compiled else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1, fused=True)
    ids = torch.randint(0, vocabulary, (batch, tokens))
    targets = torch.randint(0, vocabulary, (batch, tokens))
    seconds = []
    for step in range(steps + 2):
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = run(ids, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step >= 2:
            seconds.append(time.perf_counter() - start)
    print(json.dumps({"tokens_per_second": batch * tokens / statistics.median(seconds),
                      "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def ours(shape, precision):
    layers, heads, width, tokens, batch, vocabulary, steps = SHAPES[shape]
    command = [ROOT / "build/release/bench/training_bench", "--layers", layers, "--heads", heads, "--width", width, "--tokens",
               tokens, "--batch", batch, "--vocabulary", vocabulary, "--precision", precision, "--repetitions", steps]
    return json.loads(subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout)


def theirs(shape, precision, compiled):
    command = [sys.executable, __file__, "--child", shape, precision, str(int(compiled))]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES))
    parser.add_argument("--precisions", nargs="+", default=["f32", "bf16"])
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--child", nargs=3)
    arguments = parser.parse_args()
    if arguments.child:
        shape, precision, compiled = arguments.child
        return torch_child(shape, precision, compiled == "1")
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    for shape in arguments.shapes:
        for precision in arguments.precisions:
            sides = {"tessera": lambda: ours(shape, precision), "eager": lambda: theirs(shape, precision, False)}
            if not arguments.no_compile:
                sides["compiled"] = lambda: theirs(shape, precision, True)
            results = {name: [] for name in sides}
            for _ in range(arguments.rounds):
                for name, measure in sides.items():
                    results[name].append(measure())
            speed = {name: statistics.median(r["tokens_per_second"] for r in runs) for name, runs in results.items()}
            memory = {name: max(r["peak_megabytes"] for r in runs) for name, runs in results.items()}
            for name in sides:
                print(f"{shape} {precision} {name}: {speed[name]:.0f} tokens/s, {memory[name]:.0f} MB"
                      + ("" if name == "tessera" else f", tessera {speed['tessera'] / speed[name]:.2f}x the speed, "
                                                      f"{memory['tessera'] / memory[name]:.2f}x the memory"), flush=True)


if __name__ == "__main__":
    main()
