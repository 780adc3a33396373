#!/usr/bin/env python3
"""The same training steps here and in PyTorch (eager and compiled), alternately, and the same attention.

    cmake --build build/release --target training_bench flash_attention_bench
    venv/bin/python bench/train/compare_pytorch.py results.json [--rounds 5] [--cases small-bf16 full-f32] [--svg FILE]
    venv/bin/python bench/train/compare_pytorch.py results.json --report --svg FILE

A step is forward, loss, backward, clipping and AdamW on random tokens, with as many threads (--threads) on both sides. PyTorch runs
scaled_dot_product_attention and fused AdamW; bf16 is autocast with float32 weights. A case of attention is forward and
backward of causal attention alone. Every round of a case runs each side for a few seconds, one after the other, and is
written to results.json when it ends: a run that was interrupted goes on with what is missing, and --pieces N stops after
N rounds, so that a machine can be held quiet for one at a time. Prints the median of the rounds, the median of the rounds'
ratios, and each side's largest resident size.

On a machine that others use, --clock cpu --threads 1 counts the processor time of one thread instead of what a clock on the
wall says: what others take is left out, what they do to caches and memory is not.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import ratio_chart  # noqa: E402

SHAPES = {  # layers, heads, width, tokens, batch, vocabulary
    "small": (4, 4, 128, 64, 12, 65),
    "full": (6, 6, 384, 256, 16, 65),
    "gpt2": (12, 12, 768, 256, 2, 50257),
}
NAMES = {"small": "0.8M", "full": "10.65M", "gpt2": "124M"}
ATTENTION = (1, 12, 2048, 64)  # batch, heads, tokens, head_dim
CASES = [f"{shape}-{precision}" for shape in (*SHAPES, "attention") for precision in ("f32", "bf16")]
SIDES = ("tessera", "eager", "compiled")


def timed(step, seconds):
    """Median seconds of a step, over at least three and about `seconds` of them, after two that warm up."""
    for _ in range(2):
        step()
    now = time.process_time if os.environ["COMPARE_CLOCK"] == "cpu" else time.perf_counter
    times = []
    while len(times) < 3 or sum(times) < seconds:
        start = now()
        step()
        times.append(now() - start)
    return statistics.median(times)


def torch_training(shape, precision, compiled, seconds):
    import torch
    import torch.nn.functional as F

    layers, heads, width, tokens, batch, vocabulary = SHAPES[shape]

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

    def step():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = run(ids, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return batch * tokens / timed(step, seconds)


def torch_attention(precision, seconds):
    import torch

    batch, heads, tokens, head_dim = ATTENTION
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    torch.manual_seed(1)
    q, k, v = (torch.randn(batch, heads, tokens, head_dim, dtype=dtype, requires_grad=True) for _ in range(3))
    upstream = torch.randn(batch, heads, tokens, head_dim, dtype=dtype)

    def step():
        torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).backward(upstream)
        q.grad = k.grad = v.grad = None

    return batch * tokens / timed(step, seconds)


def torch_child(case, side, seconds):
    import resource

    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    shape, precision = case.split("-")
    speed = (torch_attention(precision, seconds) if shape == "attention"
             else torch_training(shape, precision, side == "compiled", seconds))
    print(json.dumps({"tokens_per_second": speed,
                      "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def measure(case, side, arguments):
    seconds = arguments.seconds
    shape, precision = case.split("-")
    if side != "tessera":
        command = [sys.executable, __file__, "--child", case, side, str(seconds), "-"]
    elif shape == "attention":
        batch, heads, tokens, head_dim = ATTENTION
        command = [ROOT / "build/release/bench/flash_attention_bench", "--batch", batch, "--heads", heads, "--tokens", tokens,
                   "--head-dim", head_dim, "--precision", precision, "--seconds", seconds]
    else:
        layers, heads, width, tokens, batch, vocabulary = SHAPES[shape]
        command = [ROOT / "build/release/bench/training_bench", "--layers", layers, "--heads", heads, "--width", width,
                   "--tokens", tokens, "--batch", batch, "--vocabulary", vocabulary, "--precision", precision,
                   "--seconds", seconds]
    if side == "tessera" and arguments.clock == "cpu":
        command.append("--cpu-time")
    threads = str(arguments.threads)
    environment = dict(os.environ, OMP_NUM_THREADS=threads, TESSERA_THREADS=threads, COMPARE_CLOCK=arguments.clock)
    output = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True, env=environment)
    result = json.loads(output.stdout.splitlines()[-1])
    return {name: result[name] for name in ("tokens_per_second", "peak_megabytes")}


def sides_of(case, arguments):
    return [side for side in SIDES
            if side != "compiled" or not (arguments.no_compile or case.startswith("attention"))]


def run(arguments, results):
    pieces = 0
    for round_number in range(arguments.rounds):
        for case in arguments.cases:
            done = results.setdefault(case, [])
            if len(done) > round_number:
                continue
            if pieces == arguments.pieces:
                return
            pieces += 1
            done.append({side: measure(case, side, arguments) for side in sides_of(case, arguments)})
            arguments.results.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            print(case, {side: round(one["tokens_per_second"]) for side, one in done[-1].items()}, flush=True)


def report(results, svg):
    bars = {}
    print("| case | rounds | Tessera, tokens/s | eager | ratio | compiled | ratio | memory, MB | eager | ratio |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for case in (case for case in CASES if results.get(case)):
        rounds = results[case]

        def speed(side):
            return statistics.median(one[side]["tokens_per_second"] for one in rounds if side in one)

        def memory(side):
            return max(one[side]["peak_megabytes"] for one in rounds if side in one)

        shape, precision = case.split("-")
        cells = [f"{NAMES.get(shape, 'attention alone')} {precision}", str(len(rounds)), f"{speed('tessera'):.0f}"]
        for side in ("eager", "compiled"):
            ratios = [one["tessera"]["tokens_per_second"] / one[side]["tokens_per_second"] for one in rounds if side in one]
            cells += [f"{speed(side):.0f}", f"{statistics.median(ratios):.2f}"] if ratios else ["", ""]
            if ratios:
                middle = statistics.median(ratios)
                bars.setdefault(cells[0], []).append((f"beside PyTorch {side}", middle, f"{middle:.2f}×"))
        cells += [f"{memory('tessera'):.0f}", f"{memory('eager'):.0f}", f"{memory('tessera') / memory('eager'):.2f}"]
        print("| " + " | ".join(cells) + " |")
    if svg and bars:
        ratio_chart.draw(bars, svg, "Training in Tessera and PyTorch",
                         "times the tokens a second of PyTorch (median of alternating runs; longer is better)", "PyTorch")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, metavar="RESULTS.json")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", nargs="+", default=CASES, choices=CASES, metavar="CASE", help="of: " + ", ".join(CASES))
    parser.add_argument("--seconds", type=float, default=4.0, help="of steps that each side takes in a round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--pieces", type=int, default=-1, help="stop after so many rounds of cases")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--report", action="store_true", help="only print and draw what was measured")
    parser.add_argument("--svg", metavar="FILE")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        case, side, seconds = arguments.child
        return torch_child(case, side, float(seconds))
    results = json.loads(arguments.results.read_text(encoding="utf-8")) if arguments.results.exists() else {}
    if not arguments.report:
        run(arguments, results)
    report(results, arguments.svg)


if __name__ == "__main__":
    main()
