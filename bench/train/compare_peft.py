#!/usr/bin/env python3
"""The same LoRA fine-tuning here and in PEFT: validation losses and seconds of a step.

    cmake --build build/release --target tessera
    venv/bin/python bench/train/compare_peft.py MODEL_FOLDER input.txt [--steps 300] [--batch 8] [--seq 128] ...

Both sides: the token files that `tessera data` makes of the text (the last tenth for validation), windows that do not
overlap in a random order, r 8 and alpha 16 beside every linear layer but the head, AdamW (0.9, 0.999), no weight decay, a
linear warm-up and a cosine to a tenth of the learning rate, clipping at 1, float32, two threads; the loss is the mean over
every token of the validation file, in windows of --seq. Needs torch, transformers and peft.
"""
import argparse
import json
import math
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def read_tokens(path):
    import numpy

    data = Path(path).read_bytes()
    width, = struct.unpack_from("<I", data, 12)
    count, = struct.unpack_from("<Q", data, 16)
    return numpy.frombuffer(data, dtype=f"<u{width}", count=count, offset=128).astype("int64")


def windows(tokens, length, keep_tail):
    import torch

    rows = []
    for begin in range(0, len(tokens) - 1, length):
        row = tokens[begin:begin + length + 1]
        if len(row) < length + 1 and not keep_tail:
            break
        ids = torch.zeros(length, dtype=torch.long)
        targets = torch.full((length,), -100)
        ids[:len(row) - 1] = torch.tensor(row[:-1])
        targets[:len(row) - 1] = torch.tensor(row[1:])
        rows.append((ids, targets))
    return rows


def stack(rows):
    import torch

    return torch.stack([r[0] for r in rows]), torch.stack([r[1] for r in rows])


def train_peft(args, folder):
    import torch
    import torch.nn.functional as F
    import transformers
    from peft import LoraConfig, get_peft_model

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    model = transformers.AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules="all-linear"))
    train = windows(read_tokens(folder / "train.tokens"), args.seq, False)
    held_out = windows(read_tokens(folder / "validation.tokens"), args.seq, True)
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=args.lr, betas=(0.9, 0.999),
                                  weight_decay=0.0)

    def loss_of(rows, reduction):
        ids, targets = stack(rows)
        logits = model(input_ids=ids, use_cache=False).logits
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction=reduction)

    order, seconds = [], []
    model.train()
    for step in range(args.steps):
        if len(order) < args.batch:
            order = torch.randperm(len(train)).tolist()
        rows = [train[order.pop()] for _ in range(args.batch)]
        if step < args.warmup:
            rate = args.lr * (step + 1) / args.warmup
        else:
            share = (step - args.warmup) / max(1, args.steps - args.warmup)
            rate = args.lr * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * share)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        start = time.perf_counter()
        loss = loss_of(rows, "mean")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - start)
    model.eval()
    total = 0.0
    with torch.no_grad():
        for begin in range(0, len(held_out), 32):
            total += loss_of(held_out[begin:begin + 32], "sum").item()
    counted = sum((targets != -100).sum().item() for _, targets in held_out)
    return total / counted, sorted(seconds)[len(seconds) // 2]


def train_tessera(args, folder):
    out = folder / "run"
    command = [str(args.tessera), "finetune", "--model", args.model, "--data", str(folder), "--out", str(out)]
    settings = {"lora-r": 8, "lora-alpha": 16, "steps": args.steps, "batch-size": args.batch, "seq-len": args.seq,
                "learning-rate": args.lr, "minimum-learning-rate": args.lr / 10, "warmup": args.warmup, "seed": args.seed,
                "evaluate-every": 0, "save-every": 0}
    for name, value in settings.items():
        command += [f"--{name}", str(value)]
    environment = dict(os.environ, TESSERA_THREADS=str(args.threads))
    output = subprocess.run(command, capture_output=True, text=True, env=environment)
    if output.returncode != 0:
        sys.exit(output.stderr)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    seconds = sorted(line["tokens"] / line["tokens_per_second"] for line in lines)
    if not re.search("validation loss", output.stdout):
        sys.exit("no validation loss: " + output.stdout)
    return lines[-1]["validation_loss"], seconds[len(seconds) // 2]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seq", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--warmup", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tessera", type=Path, default=ROOT / "build" / "release" / "tessera")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([str(args.tessera), "data", "-m", args.model, "-o", name, args.text], check=True,
                       stdout=subprocess.DEVNULL)
        ours, our_seconds = train_tessera(args, folder)
        theirs, their_seconds = train_peft(args, folder)
    print(f"validation loss: tessera {ours:.4f}, PEFT {theirs:.4f}, {100 * (ours / theirs - 1):+.2f}%")
    print(f"a step: tessera {our_seconds * 1e3:.1f} ms, PEFT {their_seconds * 1e3:.1f} ms, "
          f"{their_seconds / our_seconds:.2f} times as fast")


if __name__ == "__main__":
    main()
