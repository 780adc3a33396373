#!/usr/bin/env python3
"""The same texts and vocabularies through Hugging Face `tokenizers` and tiktoken, by the CPU time of one thread.

  bench/tokenizer/peers.py FOLDER TEXT...

FOLDER holds ggml-vocab-gpt-2.gguf, ggml-vocab-llama-bpe.gguf and ggml-vocab-qwen2.gguf. Hugging Face's gets the text in
pieces of about 100 KB, cut at ends of lines, which suits it better than the whole; both get at most 4 MB of each text.
Needs: pip install tokenizers tiktoken gguf.
"""
import os
import pathlib
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import gguf
import tiktoken
from make_golden_udhr import PATTERNS, byte_level, read_field

LIMIT = 4_000_000


def byte_alphabet():
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(b): b for b in printable} | {chr(256 + n): b for n, b in enumerate(others)}


def ranks_of(reader):
    """tiktoken's form of the merges: bytes first, then what each merge makes, in order."""
    alphabet = byte_alphabet()
    ranks = {bytes([byte]): byte for byte in range(256)}
    for merge in read_field(reader, "merges", text=True):
        joined = bytes(alphabet[c] for c in merge.replace(" ", ""))
        ranks.setdefault(joined, len(ranks))
    return ranks


def pieces(text, size=100_000):
    begin = 0
    while begin < len(text):
        end = text.find("\n", begin + size) + 1 or len(text)
        yield text[begin:end]
        begin = end


def measure(encode, texts):
    start = time.process_time()
    count = sum(len(encode(text)) for text in texts)
    return count, time.process_time() - start


def main():
    folder = pathlib.Path(sys.argv[1])
    for name in ("gpt-2", "llama-bpe", "qwen2"):
        reader = gguf.GGUFReader(folder / f"ggml-vocab-{name}.gguf")
        hugging_face = byte_level(reader, name)
        bpe = tiktoken.Encoding(name, pat_str=PATTERNS[name], mergeable_ranks=ranks_of(reader), special_tokens={})
        for path in sys.argv[2:]:
            text = pathlib.Path(path).read_bytes()[:LIMIT].decode("utf-8", errors="ignore")
            size = len(text.encode()) / 1e6
            for peer, encode in (("tokenizers", lambda part: hugging_face.encode(part).ids), ("tiktoken", bpe.encode_ordinary)):
                count, seconds = measure(encode, list(pieces(text)))
                print(f"{name:10} {peer:10} {pathlib.Path(path).name:16} {count:9} tokens {size / seconds:6.1f} MB/s", flush=True)


if __name__ == "__main__":
    main()
