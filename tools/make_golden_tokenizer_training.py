#!/usr/bin/env python3
"""Writes tests/golden/tokenizer_training/: a text, and what two other trainers make of it.

- first_gpt2.*, first_llama3.*: Hugging Face's `tokenizers`, which of equally frequent pairs merges the one with
  the least ids; its merges, and the ids of a sample.
- unigram.json, unigram.ids: a unigram model of Hugging Face's trainer, and the ids of the sample (with characters it
  does not know); unigram.count: into how many tokens it cuts the text.
- greatest_gpt2.merges: byte-pair encoding as written down in the paper, recounting everything at every step; of
  equally frequent pairs the greatest.

Needs tools/requirements.txt. Usage: tools/make_golden_tokenizer_training.py
"""
import collections
import json
import pathlib
import random

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIAL = "<|endoftext|>"
VOCABULARY = 600
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")


def make_text():
    """Invented words with the habits of several scripts, so that nothing is quoted from anywhere."""
    rng = random.Random(20)
    syllables = ["ta", "ri", "mo", "nel", "sa", "ku", "e", "lo", "the", "an", "ing", "ber", "ö", "ße", "né", "до", "ми",
                 "水", "山", "川の", "🙂"]
    words = ["".join(rng.choice(syllables) for _ in range(rng.randint(1, 4))) for _ in range(400)]
    weights = [1 / (i + 1) for i in range(len(words))]
    lines = []
    for _ in range(260):
        line = []
        for word in rng.choices(words, weights, k=rng.randint(3, 14)):
            word = word.capitalize() if rng.random() < 0.1 else word
            word += rng.choices(["", ",", "'s", "'LL", "!!", f" {rng.randint(0, 99999)}", "  ", "\t", "aaaa"],
                                [60, 8, 4, 1, 2, 6, 2, 1, 3])[0]
            line.append(word)
        lines.append(" ".join(line) + rng.choice([".", "", " ", "..."]))
    return "\n".join(lines) + "\n\n \n"


def train_hf(text, pre_tokenizer):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=[SPECIAL], min_frequency=2, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer


def train_greatest(text):
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    characters = sorted(pre_tokenizers.ByteLevel.alphabet())
    printable = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b <= 255]
    to_byte = {chr(b): b for b in printable}
    others = [b for b in range(256) if b not in printable]
    to_byte.update({chr(256 + i): b for i, b in enumerate(others)})
    assert sorted(to_byte) == characters
    spelled = {b: c for c, b in to_byte.items()}
    counts = collections.Counter(word for word, _ in byte_level.pre_tokenize_str(text))
    words = [([bytes([to_byte[c]]) for c in word], count) for word, count in counts.items()]
    merges = []
    while len(merges) < VOCABULARY - 257:
        pairs = collections.Counter()
        for word, count in words:
            for pair in zip(word, word[1:]):
                pairs[pair] += count
        best, count = max(pairs.items(), key=lambda item: (item[1], item[0]))
        if count < 2:
            break
        merges.append(best)
        for word, _ in words:
            i = 0
            while i + 1 < len(word):
                if (word[i], word[i + 1]) == best:
                    word[i:i + 2] = [word[i] + word[i + 1]]
                i += 1
    assert len({left + right for left, right in merges}) == len(merges), "no token twice: the vocabulary has no gap"
    return ["".join(spelled[b] for b in left) + " " + "".join(spelled[b] for b in right) for left, right in merges]


def main():
    folder = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/tokenizer_training"
    folder.mkdir(parents=True, exist_ok=True)
    text = make_text()
    (folder / "corpus.txt").write_bytes(text.encode())
    sample = text[:3000] + "Something else entirely, 1234567 don't DON'T\r\n\r\n  x\u00a0y"
    (folder / "sample.txt").write_bytes(sample.encode())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    llama3 = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
                                      pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    for name, pre_tokenizer in (("gpt2", byte_level), ("llama3", llama3)):
        tokenizer = train_hf(text, pre_tokenizer)
        merges = [" ".join(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]
        (folder / f"first_{name}.merges").write_bytes(("\n".join(merges) + "\n").encode())
        ids = " ".join(str(i) for i in tokenizer.encode(sample).ids)
        (folder / f"first_{name}.ids").write_text(ids + "\n")
    unigram = Tokenizer(models.Unigram())
    unigram.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split("\n", "isolated"), pre_tokenizers.Metaspace(prepend_scheme="never")])
    unigram.decoder = decoders.Metaspace(prepend_scheme="never")
    unigram.train_from_iterator([text], trainers.UnigramTrainer(
        vocab_size=500, special_tokens=["<unk>", SPECIAL], unk_token="<unk>", show_progress=False))
    # Scores in steps of 1/1024 add up exactly, so that equally good cuts ("." ".." and ".." ".") do not depend on rounding
    # (or on how a JSON parser rounds).
    saved = json.loads(unigram.to_str())
    saved["model"]["vocab"] = [[piece, round(score * 1024) / 1024] for piece, score in saved["model"]["vocab"]]
    (folder / "unigram.json").write_text(json.dumps(saved, ensure_ascii=False, indent=1) + "\n")
    unknowing = sample + "ЖЖ zЖ q 𐍈𐍈 "
    (folder / "unigram_sample.txt").write_bytes(unknowing.encode())
    plain = Tokenizer.from_file(str(folder / "unigram.json"))
    ids = plain.encode(unknowing).ids
    (folder / "unigram.ids").write_text(" ".join(str(i) for i in ids) + "\n")
    (folder / "unigram.count").write_text(f"{len(plain.encode(text).ids)}\n")
    (folder / "greatest_gpt2.merges").write_bytes(("\n".join(train_greatest(text)) + "\n").encode())


if __name__ == "__main__":
    main()
