#!/usr/bin/env python3
"""Texts for tokenizer_bench, each of distinct lines, so that nothing is fast because it was seen before.

  bench/tokenizer/make_texts.py DATA OUT

DATA is a folder of plain texts (tinyshakespeare/, multi30k/*.gz, udhr/*.txt, rag/xquad*.json). OUT gets english.txt, german.txt,
languages.txt (udhr, language after language), shakespeare.txt and code.txt (C and C++ headers of /usr/include, 16 MB at most).
Lines that were seen before are left out.
"""
import gzip
import json
import pathlib
import random
import sys

LIMIT = 16_000_000


def read(path):
    raw = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
    return raw.decode("utf-8", errors="ignore")


def distinct(texts):
    seen, size = set(), 0
    for text in texts:
        for line in text.splitlines(keepends=True):
            if line.strip() and line in seen:
                continue
            seen.add(line)
            size += len(line)
            yield line
        if size > LIMIT:
            return


def xquad(path):
    for article in json.loads(read(path))["data"]:
        for paragraph in article["paragraphs"]:
            yield paragraph["context"] + "\n" + "\n".join(q["question"] for q in paragraph["qas"]) + "\n"


def main():
    data, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    pods = sorted(p for kind in ("*.pod", "*.pm") for p in pathlib.Path("/usr/share/perl").rglob(kind))
    documents = sorted(p for kind in ("*.rst", "*.md", "*.txt") for p in pathlib.Path(sys.prefix).rglob(kind))
    english = [read(p) for p in sorted(data.glob("multi30k/*.en.gz"))]
    english += [read(data / "tinyshakespeare/input.txt")]
    english += [text for path in data.glob("rag/*en.json") for text in xquad(path)]
    english += [read(p) for p in pods + documents if p.stat().st_size < 400_000]
    headers = sorted(p for kind in ("*.h", "*.hpp", "*.c", "*.cpp") for p in pathlib.Path("/usr/include").rglob(kind) if p.is_file())
    random.Random(1).shuffle(headers)
    texts = {
        "english": english,
        "german": [read(p) for p in sorted(data.glob("multi30k/*.de.gz"))],
        "languages": [read(p) for p in sorted(data.glob("udhr/*.txt"))],
        "shakespeare": [read(data / "tinyshakespeare/input.txt")],
        "code": (read(p) for p in headers),
    }
    for name, parts in texts.items():
        text = "".join(distinct(parts))
        (out / f"{name}.txt").write_text(text, encoding="utf-8", newline="")
        print(f"{name}: {len(text.encode())} bytes")


if __name__ == "__main__":
    main()
