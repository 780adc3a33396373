#!/usr/bin/env python3
"""Runs the same work through Tessera and llama.cpp, alternately, and prints the ratio of their medians.

  bench/compare/compare_llama_cpp.py --llama FOLDER MODEL.gguf [MODEL.gguf ...]

FOLDER holds llama-bench, llama-batched-bench and llama-completion (bench/compare/README.md says how to get them). Each case is
run --rounds times by each program in turn, one process a run; llama.cpp gets the better of its flags (flash attention on and
off). Above 1 Tessera is faster, or needs less. Writes --json and draws --svg when they are given. Only Python's standard
library is needed.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import ratio_chart  # noqa: E402

CASES = ["prefill 128", "prefill 512", "prefill 2048", "prefill 8192", "decode @0", "decode @512", "decode @2048", "decode @4096",
         "decode @8192", "decode @2048 q8_0", "decode @4096 q8_0", "decode @8192 q8_0", "batch 8", "batch 32", "start time", "start memory"]
DEFAULT = ["prefill 512", "prefill 2048", "prefill 8192", "decode @0", "decode @2048", "decode @4096", "batch 32", "start time",
           "start memory"]
DECODED = 32       # tokens decoded at each depth, and by each sequence of a batch
BATCH_DEPTH = 128  # tokens in the context of each sequence of a batch


class Failed(Exception):
    pass


def run(command, environment=None):
    """Output, seconds and the largest resident size in bytes of one process."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        start = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
                                   env={**os.environ, **(environment or {})})
        # wait4 alone knows the peak of this child, and not of all children so far.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        for file in (output, errors):
            file.seek(0)
        output, errors = output.read(), errors.read()
    if process.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: exit code {process.returncode}\n{errors[-800:]}")
    return output, seconds, usage.ru_maxrss * 1024


def number_of(case):
    return int(case.split()[1].lstrip("@"))


def cache_type(case):
    """What keys and values are kept as, where the case says so."""
    return case.split()[2:]


class Tessera:
    name = "Tessera"
    variants = [()]

    def __init__(self, program, threads, isa):
        self.program, self.threads = program, threads
        self.environment = {"TESSERA_ISA": isa} if isa else {}

    def bench(self, model, *flags):
        output, _, _ = run([self.program, "bench", "-m", model, "-t", self.threads, "--repetitions", 1, "-n", DECODED,
                            "--json", *flags], self.environment)
        return json.loads(output)["cases"][0]["tokens_per_second"]

    def measure(self, case, model, _variant):
        kind = case.split()[0]
        if kind == "prefill":
            return self.bench(model, "--prefill", number_of(case))
        if kind == "decode":
            cache = [part for name in cache_type(case) for part in ("--cache-type", name)]
            return self.bench(model, "--depths", number_of(case), *cache)
        if kind == "batch":
            return self.bench(model, "--batches", number_of(case), "--batch-depth", BATCH_DEPTH)
        _, seconds, memory = run([self.program, "generate", "-m", model, "-t", self.threads, "-p", "Hello", "-n", 1, "--temp",
                                  0], self.environment)
        return 1 / seconds if case == "start time" else 1 / memory


class LlamaCpp:
    name = "llama.cpp"
    variants = [("-fa", "1"), ("-fa", "0")]

    def __init__(self, folder, threads):
        self.folder, self.threads = folder, threads

    def bench(self, model, variant, *flags):
        output, _, _ = run([self.folder / "llama-bench", "-m", model, "-t", self.threads, "-r", 1, "-o", "json", *variant,
                            *flags])
        return json.loads(output)[0]["avg_ts"]

    def measure(self, case, model, variant):
        kind = case.split()[0]
        if kind == "prefill":
            return self.bench(model, variant, "-p", number_of(case), "-n", 0)
        if kind == "decode":
            cache = [part for name in cache_type(case) for part in ("-ctk", name, "-ctv", name)]
            return self.bench(model, variant, "-p", 0, "-n", DECODED, "-d", number_of(case), *cache)
        if kind == "batch":
            size = number_of(case)
            flash = ("-fa", "on" if variant[1] == "1" else "off")
            output, _, _ = run([self.folder / "llama-batched-bench", "-m", model, "-t", self.threads, "-npp", BATCH_DEPTH, "-ntg",
                                DECODED, "-npl", size, "-c", size * (BATCH_DEPTH + DECODED) + 64, "--output-format", "jsonl",
                                *flash])
            rows = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
            return rows[-1]["speed_tg"]
        _, seconds, memory = run([self.folder / "llama-completion", "-m", model, "-t", self.threads, "-p", "Hello", "-n", 1,
                                  "--temp", 0, "-no-cnv", "--no-warmup"])
        return 1 / seconds if case == "start time" else 1 / memory


def compare(case, model, programs, rounds):
    """{program: {variant: [figures]}}; the order turns round from one round to the next."""
    figures = {program.name: {} for program in programs}
    for index in range(rounds):
        for program in programs if index % 2 == 0 else programs[::-1]:
            # llama.cpp keeps 8-bit values only with flash attention, its first variant.
            variants = program.variants[:1] if case.startswith("start") or cache_type(case) else program.variants
            for variant in variants:
                value = program.measure(case, model, variant)
                figures[program.name].setdefault(" ".join(variant), []).append(value)
    return figures


def best(variants):
    """The variant with the best median: (name, median, slowest, fastest)."""
    name, values = max(variants.items(), key=lambda item: statistics.median(item[1]))
    return {"flags": name, "median": statistics.median(values), "slowest": min(values), "fastest": max(values)}


def shown(case, figure):
    if case == "start time":
        return f"{1000 / figure:.0f} ms"
    if case == "start memory":
        return f"{1 / figure / 1e6:.0f} MB"
    return f"{figure:.1f}"


def draw(results, path, title):
    groups = {}
    for result in results:
        bar = (result["case"], result["ratio"], f"{result['ratio']:.2f}×")
        groups.setdefault(result["model"], []).append(bar)
    ratio_chart.draw(groups, path, title, "times the speed of llama.cpp (median of alternating runs; longer is better)",
                     "llama.cpp")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL.gguf", type=pathlib.Path)
    parser.add_argument("--llama", required=True, type=pathlib.Path, metavar="FOLDER")
    parser.add_argument("--tessera", type=pathlib.Path, default=ROOT / "build/release/tessera")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--isa", help="TESSERA_ISA for Tessera; give a llama.cpp built for the same")
    parser.add_argument("--flash", choices=("best", "on", "off"), default="best", help="llama.cpp's flash attention: the "
                        "better of both (default), or only one of them, which takes half the time")
    parser.add_argument("--cases", default=",".join(DEFAULT), help="of: " + ", ".join(CASES))
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--svg", metavar="FILE")
    parser.add_argument("--title", default="Tessera and llama.cpp")
    arguments = parser.parse_args()
    cases = [case.strip() for case in arguments.cases.split(",")]
    unknown = [case for case in cases if case not in CASES]
    if unknown:
        parser.error(f"--cases: expected some of {', '.join(CASES)}; found {', '.join(unknown)}")

    programs = [Tessera(arguments.tessera, arguments.threads, arguments.isa), LlamaCpp(arguments.llama, arguments.threads)]
    if arguments.flash != "best":
        programs[1].variants = [("-fa", "1" if arguments.flash == "on" else "0")]
    results = []
    print(f"{'model':<26} {'case':<14} {'Tessera':>10} {'llama.cpp':>10} {'flags':<6} {'ratio':>7}")
    for model in arguments.models:
        for case in cases:
            try:
                figures = compare(case, model, programs, arguments.rounds)
            except Failed as failure:
                print(f"{model.stem:<26} {case:<14} failed: {failure}", file=sys.stderr)
                continue
            ours, theirs = best(figures["Tessera"]), best(figures["llama.cpp"])
            ratio = ours["median"] / theirs["median"]
            results.append({"model": model.stem, "case": case, "ratio": ratio, "tessera": ours, "llama_cpp": theirs,
                            "runs": figures})
            print(f"{model.stem:<26} {case:<14} {shown(case, ours['median']):>10} {shown(case, theirs['median']):>10} "
                  f"{theirs['flags']:<6} {ratio:>6.2f}x", flush=True)
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    if arguments.svg and results:
        draw(results, arguments.svg, arguments.title)
    return 0 if results else 1


if __name__ == "__main__":
    sys.exit(main())
