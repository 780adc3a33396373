#!/usr/bin/env python3
"""Puts the same load on Tessera's server and llama-server, alternately, and prints the ratios of the medians.

  bench/serve/serve_load.py --tessera build/release/tessera [--llama FOLDER] MODEL.gguf

FOLDER holds llama-server (bench/compare/README.md says how to get llama.cpp; build it with -DLLAMA_BUILD_SERVER=ON, target
llama-server). A round starts each server in turn and gives it, over HTTP with streaming:

  chats    32 requests at once, 512 tokens in, 128 out, all different: tokens/s, time to first token, gaps between tokens
  prefix   8 requests at once on a cold server, which share 2,000 tokens: until the last of them has its first token
  long     8 running streams, and a prompt of 4,000 tokens beside them: gaps between their tokens meanwhile
  memory   the largest resident size of the server through all of it

Prompts are token ids of English text, so that both get exactly as many. Only Python's standard library is needed.
"""
import argparse
import asyncio
import json
import pathlib
import random
import socket
import statistics
import subprocess
import sys
import time

WORDS = """the of and a to in he have it that for they with as not on she at by this we you do but from or which one would all
will there say who make when can more if no man out other so what time up go about than into could state only new year some take
come these know see use get like then first any work now may such give over think most even find day also after way many must
look before great back through long where much should well people down own just because good each those feel seem how high too
place little world very still nation hand old life tell write become here show house both between need mean call develop under
last right move thing general school never same another begin while number part turn real leave might want point form off child
few small since against ask late home interest large person end open public follow during present without again hold govern
around possible head consider word program problem however lead system set order eye plan run keep face fact group play stand
increase early course change help line""".split()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, command, port):
        self.port = port
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    async def wait_until_ready(self):
        for _ in range(1200):
            if self.process.poll() is not None:
                sys.exit(f"the server ended with {self.process.returncode}")
            try:
                status, _ = await request(self.port, "GET", "/health")
                if status == 200:
                    return
            except OSError:
                pass
            await asyncio.sleep(0.1)
        sys.exit("the server was not ready within two minutes")

    def peak_megabytes(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1000
        return float("nan")

    def stop(self):
        self.process.kill()
        self.process.wait()


def head(method, path, body):
    return (f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n").encode()


async def request(port, method, path, body=b""):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head(method, path, body) + body)
    answer = await reader.read()
    writer.close()
    status = int(answer.split(b" ", 2)[1])
    return status, answer.split(b"\r\n\r\n", 1)[1]


async def tokenize(port, text):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({"content": text}).encode()
    writer.write(head("POST", "/tokenize", body) + body)
    answer = await reader.read()
    writer.close()
    text = answer.split(b"\r\n\r\n", 1)[1]
    return json.loads(text[text.index(b"{"):text.rindex(b"}") + 1])["tokens"]


async def stream(port, prompt, tokens):
    """Times of the pieces of text of one answer, the first being that of the request."""
    body = json.dumps({"prompt": prompt, "max_tokens": tokens, "ignore_eos": True, "temperature": 0, "stream": True}).encode()
    times = [time.perf_counter()]
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
    writer.write(head("POST", "/v1/completions", body) + body)
    async for line in reader:
        if line.startswith(b"data: {"):
            times.append(time.perf_counter())
        elif line.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5", b"data: [DONE]")):
            break
    writer.close()
    if len(times) < 3:
        sys.exit(f"an answer broke off: {line!r}")
    return times


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


def gaps(times):
    return [b - a for a, b in zip(times[1:], times[2:])]


async def chats(port, text, count, prompt_tokens, new_tokens):
    prompts = [text[i * prompt_tokens:(i + 1) * prompt_tokens] for i in range(count)]
    begin = time.perf_counter()
    answers = await asyncio.gather(*(stream(port, prompt, new_tokens) for prompt in prompts))
    seconds = time.perf_counter() - begin
    every_gap = [gap for times in answers for gap in gaps(times)]
    return {"chats tokens/s": count * new_tokens / seconds,
            "chats first token p50 s": statistics.median(times[1] - times[0] for times in answers),
            "chats gap p99 s": percentile(every_gap, 0.99), "chats gap p50 s": statistics.median(every_gap)}


async def shared_prefix(port, text):
    answers = await asyncio.gather(*(stream(port, text[:2000] + text[2000 + 20 * i:2020 + 20 * i], 8) for i in range(8)))
    return {"prefix last first token s": max(times[1] - times[0] for times in answers)}


async def long_prompt(port, text):
    streams = [asyncio.create_task(stream(port, text[i * 50:i * 50 + 50], 300)) for i in range(8)]
    await asyncio.sleep(1.5)
    begin = time.perf_counter()
    long = await stream(port, text[1000:5000], 2)
    during = [b - a for task in await asyncio.gather(*streams) for a, b in zip(task[1:], task[2:]) if b > begin and a < long[1]]
    return {"long gap p99 s": percentile(during, 0.99), "long gap worst s": max(during), "long first token s": long[1] - long[0]}


async def measure(command, options):
    figures = {}

    async def served(part):
        port = free_port()
        server = Server([word.replace("PORT", str(port)) for word in command], port)
        try:
            await server.wait_until_ready()
            tokens = await tokenize(port, " ".join(random.Random(7).choices(WORDS, k=30000)))
            await stream(port, tokens[-40:], 4)  # warm, with a text of its own
            await part(port, tokens)
            figures["memory MB"] = max(figures.get("memory MB", 0), server.peak_megabytes())
        finally:
            server.stop()

    async def first(port, tokens):
        figures.update(await chats(port, tokens, options.chats, 512, 128))
        if "long" in options.cases:
            figures.update(await long_prompt(port, tokens[17000:]))

    async def second(port, tokens):
        figures.update(await shared_prefix(port, tokens))

    if "chats" in options.cases:
        await served(first)
    if "prefix" in options.cases:
        await served(second)
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--tessera", default="build/release/tessera")
    parser.add_argument("--llama", help="folder of llama-server")
    parser.add_argument("--llama-flags", default="-fa on --kv-unified", help="further flags, for its best")
    parser.add_argument("--tessera-flags", default="")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--chats", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", default="chats,long,prefix")
    parser.add_argument("--json", help="write all figures there")
    options = parser.parse_args()
    options.cases = options.cases.split(",")
    context = options.chats * 700 + 6000
    commands = {"tessera": [options.tessera, "serve", "-m", options.model, "-t", str(options.threads), "-c", "6000", "--parallel",
                            str(options.chats + 8), "--cache-size", str(context), "--port", "PORT", *options.tessera_flags.split()]}
    if options.llama:
        commands["llama"] = [f"{options.llama}/llama-server", "-m", options.model, "-t", str(options.threads), "-c", str(context),
                             "-np", str(options.chats), "--port", "PORT", *options.llama_flags.split()]
    runs = {name: [] for name in commands}
    for _ in range(options.rounds):
        for name, command in commands.items():
            runs[name].append(asyncio.run(measure(command, options)))
            print(name, {key: round(value, 4) for key, value in runs[name][-1].items()}, file=sys.stderr)
    medians = {name: {key: statistics.median(run[key] for run in some) for key in some[0]} for name, some in runs.items()}
    print("| case | " + " | ".join(medians) + " | ratio |\n|---|" + "---|" * (len(medians) + 1))
    for key in medians["tessera"]:
        values = [medians[name][key] for name in medians]
        ratio = f"{values[0] / values[1]:.2f}" if len(values) > 1 else ""
        print(f"| {key} | " + " | ".join(f"{value:.4g}" for value in values) + f" | {ratio} |")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(runs, indent=1))


main()
