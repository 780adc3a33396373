#!/usr/bin/env python3
"""Makes tests/golden/tokenizers/udhr.json: what Hugging Face `tokenizers` makes of the Universal Declaration of Human
Rights in 35 languages, and of random Unicode, with the five vocabularies in ../shared/tokenizers.

Each vocabulary is rebuilt from its GGUF file as the model's own tokenizer.json has it. The golden values are numbers of
tokens and FNV-1a hashes of their ids. Needs: pip install tokenizers gguf. Usage: tools/make_golden_udhr.py ../shared
"""
import json
import pathlib
import random
import sys

import gguf
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from make_golden_tokenizers import GPT2, LLAMA3, OUT, QWEN2

PATTERNS = {"gpt-2": GPT2, "llama-bpe": LLAMA3, "qwen2": QWEN2}
NORMAL, USER_DEFINED = 1, 4


def read_field(reader, key, text=False):
    field = reader.fields["tokenizer.ggml." + key]
    if text:
        return [bytes(field.parts[index]).decode("utf8") for index in field.data]
    return [field.parts[index].tolist()[0] for index in field.data]


def byte_level(reader, name):
    tokens = read_field(reader, "tokens", text=True)
    merges = [tuple(merge.split(" ")) for merge in read_field(reader, "merges", text=True)]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=name == "llama-bpe"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERNS[name]), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    if name == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    return tokenizer


def sentencepiece(reader, name):
    """Merges in the order that transformers' converter makes them from scores."""
    tokens = read_field(reader, "tokens", text=True)
    types = read_field(reader, "token_type")
    scores = read_field(reader, "scores")
    vocabulary = {token: index for index, token in enumerate(tokens)}
    merges = []
    for token, index in vocabulary.items():
        if types[index] != NORMAL:
            continue
        halves = [(token[:cut], token[cut:], index) for cut in range(1, len(token))
                  if token[:cut] in vocabulary and token[cut:] in vocabulary]
        merges += sorted(halves, key=lambda half: (vocabulary[half[0]], vocabulary[half[1]]))
    merges.sort(key=lambda merge: -scores[merge[2]])
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[merge[:2] for merge in merges], unk_token="<unk>",
                                     fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.add_tokens([AddedToken(token, normalized=False, rstrip=name == "phi-3")
                          for token, index in vocabulary.items() if types[index] == USER_DEFINED and token != "</s>"])
    return tokenizer


def random_text():
    randomness = random.Random(3)
    ranges = [(1, 0x2ff), (0x300, 0x36f), (0x370, 0x7ff), (0x800, 0x1fff), (0x2000, 0x33ff), (0x3400, 0xd7ff),
              (0xe000, 0xffff), (0x10000, 0x1ffff), (0x20000, 0x323af), (0xe0000, 0xe01ff)]
    text = ""
    for _ in range(8000):
        text += chr(randomness.randint(*randomness.choice(ranges)))
        if randomness.random() < 0.3:
            text += randomness.choice([" ", "  ", "\n", " \n", "a", "B", "'s", "12", ".", "\u0301"])
    return text


def fnv1a(ids):
    value = 0xcbf29ce484222325
    for token in ids:
        for byte in token.to_bytes(4, "little"):
            value = (value ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return "%016x" % value


def main():
    shared = pathlib.Path(sys.argv[1])
    (OUT / "random.txt").write_bytes(random_text().encode("utf8"))
    files = sorted((shared / "data" / "udhr").glob("*.txt")) + [OUT / "random.txt"]
    results = {}
    for name in ["gpt-2", "llama-bpe", "qwen2", "llama-spm", "phi-3"]:
        reader = gguf.GGUFReader(shared / "tokenizers" / ("ggml-vocab-%s.gguf" % name))
        tokenizer = byte_level(reader, name) if name in PATTERNS else sentencepiece(reader, name)
        results[name] = {}
        for file in files:
            ids = tokenizer.encode(file.read_bytes().decode("utf8"), add_special_tokens=False).ids
            results[name][file.name] = [len(ids), fnv1a(ids)]
    with open(OUT / "udhr.json", "w") as out:
        json.dump(results, out, indent=1)
        out.write("\n")


if __name__ == "__main__":
    main()
