#!/usr/bin/env python3
"""Makes tests/golden/tokenizers: small tokenizer.json files of many kinds, and the ids that Hugging Face `tokenizers`
gives for a list of odd texts. Needs: pip install tokenizers (0.23). Usage: tools/make_golden_tokenizers.py

Each case is a folder with tokenizer.json; golden.json holds, for each case, what its texts become: ids with and without
added special tokens, with special tokens left as text, and the decoded text. The tokenizers are trained here on words and
sentences made by this script.
"""
import json
import pathlib
import random

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors,
                        trainers)

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "tokenizers"

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
CL100K = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
QWEN35 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
HEAD = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
TAIL = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
SUFFIX = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
GPT4O = (r"[^\r\n\p{L}\p{N}]?" + HEAD + "*" + TAIL + "+" + SUFFIX + r"|[^\r\n\p{L}\p{N}]?" + HEAD + "+" + TAIL + "*"
         + SUFFIX + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEKKEN = GPT4O.replace(SUFFIX, "").replace(r"\p{N}{1,3}", r"\p{N}")
DEEPSEEK = ("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
            "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+")

WORDS = """the a of and to in is it that we you they was for on are as with his her at be this have from or one had by word
but not what all were when your can said there use an each which she do how their if will up other about out many then them
these so some would make like him into time has look two more write go see number no way could people my than first water
been call who oil its now find long down day did get come made may part over new sound take only little work know place year
live me back give most very after thing our just name good sentence man think say great where help through much before line
right too mean old any same tell boy follow came want show also around form three small set put end does another well large
must big even such because turn here why ask went men read need land different home us move try kind hand picture again
change off play spell air away animal house point page letter mother answer found study still learn should world""".split()
SENTENCES = [
    "Die Straße führt über die Brücke; größer wäre schöner.", "L'été, où l'on naît, ça coûte déjà très cher.",
    "¿Qué mañana? El niño pidió una piñata.", "Быстрая лиса прыгает через ленивую собаку.",
    "Η γρήγορη αλεπού πηδάει πάνω από τον σκύλο.", "快速的棕色狐狸跳过了懒狗。今天天气很好,我们去公园吧!",
    "素早い茶色の狐がのろまな犬を飛び越える。カタカナとひらがな。", "빠른 갈색 여우가 게으른 개를 뛰어넘는다.",
    "الثعلب البني السريع يقفز فوق الكلب الكسول.", "השועל החום המהיר קופץ מעל הכלב העצלן.",
    "तेज भूरी लोमड़ी आलसी कुत्ते के ऊपर कूदती है।", "สุนัขจิ้งจอกสีน้ำตาลกระโดดข้ามสุนัขขี้เกียจ",
    "Con cáo nâu nhanh nhẹn nhảy qua con chó lười biếng.", "def f(x):\n    return [y ** 2 for y in x if y != 0]  # squares\n",
    "for (int i = 0; i < 1024; ++i) {\n\tsum += a[i] * b[i];\n}\n", "Prices: $1,234.56, €99 and 50%; call +49 (0)30 901820.",
    "I'm sure they'll say we've won; she'd agree, it's HE'S, WE'LL.", "🦙 🚀 👩‍👩‍👧‍👦 🇩🇪 ✅ ½ ² Ⅳ ①",
]


def corpus():
    randomness = random.Random(7)
    lines = []
    for _ in range(600):
        line = " ".join(randomness.choice(WORDS) for _ in range(randomness.randint(3, 14)))
        lines.append(line[0].upper() + line[1:] + randomness.choice([".", "!", "?", ",", " 2024.", "\n\n", "..."]))
    return lines + SENTENCES * 12


TEXTS = [
    "", " ", "  ", "   ", "\t", "\n", "\n\n", "\n\n\n", "\t\n", " \n ", "\r\n", " \r\n\r\n x", "a", " a", "a ", "  a  b  ",
    "Hello world", " Hello World!", "Hello, y'all! How are you 😁 ?我想在apple工作1314151天～", "I've WE'VE we'Ll it'S he'd 'tis",
    "'s'S'ſ don'ſ I'LL'm", "3 33 333 3333 33333 1,234,567.89 ²³¼ Ⅷ ٣٤٥ १२३", "camelCase HTTPServer XMLHttpRequest iPhone ÀÉÎõü",
    "ǅungla ʰʱ ªº ꟸx ᵃb", "!!!!!! ------====== ''''```\"\"\"....///\\\\\\ //\r\n/x", "x = y/2 // comment\n\n\n  indented\t\ttabs   \n",
    "e\u0301te\u0301 \u0301\u0301 a\u0308\u0323 \u0323\u0308 \u1e69 s\u0323\u0307", "한국어 \u1112\u1161\u11ab \u1100\u1161",
    "नमस्ते क\u093c क़ ড় \u09a1\u09bc", "กำลังน้ำ", "ﬁ ﬀ ™ Å Ω ㌔ ｶﾞ ＡＢＣ ①", "İstanbul ISPARTA ıi ẞß ΣΑΣ ǄǅŽ",
    "zero\u200bwidth\u200djoin\ufeffbom \u00a0nbsp\u3000wide\u1680og\u180emong\u2028ls\u2029ps\u0085nel", "\x00\x01\x07\x1f\x7f\x80\x9f",
    "\ufffd \ufdd0 \uffff \U0010ffff \ue000 \U000e0001", "👩‍👩‍👧‍👦🇩🇪🏴󠁧󠁢󠁥󠁮󠁧󠁿1️⃣", "\u0870\U0001e4d0\u1c89\ua7cb\U00031350\U0001ccf0",
    "<s>", "</s>", "<unk>", "Hi<s>there</s> <s> x </s>\n", "<|im_start|>user\nHi<|im_end|>\n", "<|im_start|", "<|im_start|><|im_start|>",
    "  <mask>  <mask><mask> a<mask>b", "word wordy sword  word", "word", "_word word_ word. wordword", "[NORM] [norm] [Norm]", "a [NORM] b",
    "x <keep> y", "\u2581already\u2581there \u2581 \u2581\u2581", "<0x41><0x0A> <0xe2>", "Ġt Ċ ġ", "##ing </w>", "tab\tsep a\tb", "ab" * 40, "x" * 100, " " * 50 + "x",
    "A" * 60, "é" * 50, "中" * 40, "1" * 50, "\u0301" * 30, "." * 70, "\n" * 40, "aA" * 30, "Aa" * 30, "ÀB\u0301Cdª", "\u0301AB c", "中A\u0301文b",
    *SENTENCES,
]


def random_texts(count, seed):
    randomness = random.Random(seed)
    pools = [(0x20, 0x7e), (0x20, 0x7e), (0xa0, 0x24f), (0x300, 0x36f), (0x370, 0x52f), (0x590, 0x6ff), (0x900, 0xdff), (0xe00, 0xeff),
             (0x1100, 0x11ff), (0x1e00, 0x1fff), (0x2000, 0x206f), (0x2070, 0x2bff), (0x3000, 0x30ff), (0x4e00, 0x9fff),
             (0xac00, 0xd7a3), (0xf900, 0xffef), (0x10000, 0x10fff), (0x1d400, 0x1d7ff), (0x1f000, 0x1faff), (0x20000, 0x2ffff)]
    texts = []
    for _ in range(count):
        text = ""
        for _ in range(randomness.randint(1, 25)):
            low, high = randomness.choice(pools)
            text += chr(randomness.randint(low, high))
            if randomness.random() < 0.25:
                text += randomness.choice([" ", "  ", "\n", "\t", "'s", "1", "<s>", " word", "\r\n", "\u0301"])
        texts.append(text)
    return texts


BYTES = pre_tokenizers.ByteLevel.alphabet()
SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]


def train(tokenizer, size=420, alphabet=None, special=SPECIAL, limit_alphabet=120, **options):
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, initial_alphabet=alphabet or [],
                                  limit_alphabet=limit_alphabet, show_progress=False, **options)
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def byte_level(pre, normalizer=None, size=460, **options):
    tokenizer = Tokenizer(models.BPE(**options))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return train(tokenizer, size, BYTES, limit_alphabet=256)


def split_byte_level(*patterns, normalizer=None, **options):
    steps = [p if not isinstance(p, str) else split(p) for p in patterns]
    return byte_level(pre_tokenizers.Sequence(steps + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]),
                      normalizer, **options)


def with_bytes(tokenizer):
    """Adds the 256 byte tokens and turns byte fallback on, as SentencePiece models have them."""
    data = json.loads(tokenizer.to_str())
    vocab = data["model"]["vocab"]
    first = len(vocab)
    for byte in range(256):
        vocab["<0x%02X>" % byte] = first + byte
    data["model"]["byte_fallback"] = True
    return Tokenizer.from_str(json.dumps(data))


def edit(tokenizer, change):
    data = json.loads(tokenizer.to_str())
    change(data)
    return Tokenizer.from_str(json.dumps(data))


def llama_like(prepend=True, fallback=True, fuse=True, metaspace=None):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=fuse))
    if metaspace:
        tokenizer.pre_tokenizer = metaspace
        tokenizer.decoder = decoders.Sequence([decoders.Metaspace("▁", "always"), decoders.ByteFallback(), decoders.Fuse()])
    else:
        steps = [normalizers.Prepend("▁")] if prepend else []
        tokenizer.normalizer = normalizers.Sequence(steps + [normalizers.Replace(" ", "▁")])
        strip = [decoders.Strip(" ", 1, 0)] if prepend else []
        tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()] + strip)
    train(tokenizer, 300, limit_alphabet=80, max_token_length=8)
    if fallback:
        tokenizer = with_bytes(tokenizer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    return tokenizer


def plain(pre, normalizer=None, decoder=None, size=330, **options):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", **options))
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre:
        tokenizer.pre_tokenizer = pre
    if decoder:
        tokenizer.decoder = decoder
    extra = {k: v for k, v in options.items() if k in ("continuing_subword_prefix", "end_of_word_suffix")}
    return train(tokenizer, size, limit_alphabet=90, **extra)


def cases():
    yield "gpt2", byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False))
    yield "gpt2-prefix-space", byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True))
    llama3 = edit(split_byte_level(LLAMA3), lambda d: d["model"].update(ignore_merges=True))
    llama3.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A $B", special_tokens=[("<s>", 1), ("</s>", 2)])])
    yield "llama3", llama3
    yield "cl100k", split_byte_level(split(CL100K, "removed", True))
    yield "qwen2", split_byte_level(QWEN2, normalizer=normalizers.NFC())
    yield "qwen35", split_byte_level(QWEN35, normalizer=normalizers.NFC())
    yield "gpt4o", split_byte_level(GPT4O)
    yield "tekken", split_byte_level(TEKKEN)
    yield "deepseek", split_byte_level(r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+", DEEPSEEK)
    yield "starcoder", split_byte_level(pre_tokenizers.Digits(True), split(GPT2))
    yield "falcon", byte_level(pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(add_prefix_space=False),
        pre_tokenizers.Digits(False), split("[0-9][0-9][0-9]")]))
    yield "bloom", split_byte_level(" ?[^(\\s|[.,!?…。，、।۔،])]+".replace("[.,", ".,").replace("،])", "،)"))
    yield "superbpe", split_byte_level(r"\p{N}+", r"(?=(\d{3})+(?!\d))")
    yield "digits-before-border", split_byte_level(r"\d{1,3}(?=(?:\d{3})*\b)", GPT4O)
    yield "nfkc-gpt2", byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), normalizers.NFKC())
    yield "byte-normalizer", byte_level(split(r"Ġ?[^Ġ]+"), normalizers.Sequence([normalizers.NFD(), normalizers.ByteLevel()]))

    def flags(tokenizer):
        tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True), AddedToken("<keep>", rstrip=True, special=True)])
        tokenizer.add_tokens([AddedToken("word", single_word=True), AddedToken("[NORM]", normalized=True),
                              AddedToken("  ", normalized=False), AddedToken("中文", normalized=False, lstrip=True, rstrip=True)])
        return tokenizer

    yield "added-gpt2", flags(byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), normalizers.Lowercase()))
    yield "added-llama", flags(llama_like())
    yield "llama2", llama_like()
    yield "llama2-no-prefix", llama_like(prepend=False)
    yield "llama2-no-fallback", llama_like(fallback=False)
    yield "llama2-no-fuse", llama_like(fallback=False, fuse=False)
    for scheme in ("always", "first", "never"):
        for splits in (True, False):
            yield "metaspace-%s-%s" % (scheme, "split" if splits else "whole"), flags(llama_like(
                metaspace=pre_tokenizers.Metaspace("▁", scheme, splits)))
    yield "partial-bytes", edit(llama_like(fuse=False), lambda d: [d["model"]["vocab"].pop("<0x%02X>" % b) for b in range(0xe0, 0xf0)])
    yield "string-merges", edit(llama_like(), lambda d: d["model"].update(merges=[" ".join(m) for m in d["model"]["merges"]]))
    yield "no-unknown", edit(plain(pre_tokenizers.Whitespace()), lambda d: d["model"].update(unk_token=None))
    yield "bert-like", plain(pre_tokenizers.BertPreTokenizer(), normalizers.BertNormalizer(), decoders.WordPiece("##", True),
                             continuing_subword_prefix="##")
    yield "clip-like", plain(pre_tokenizers.Sequence([split(r"'s|'t|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+", "removed", True)]),
                             normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]),
                             decoders.BPEDecoder("</w>"), end_of_word_suffix="</w>")
    for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
        for invert in (False, True):
            yield "split-%s%s" % (behavior.replace("_", "-"), "-invert" if invert else ""), plain(split(r"[\s,.]|a+", behavior, invert))
        yield "punctuation-" + behavior.replace("_", "-"), plain(pre_tokenizers.Punctuation(behavior))
    yield "split-string", plain(pre_tokenizers.Split(" ", "merged_with_next"))
    yield "whitespace", plain(pre_tokenizers.Whitespace(), normalizers.NFKD())
    yield "whitespace-split", plain(pre_tokenizers.WhitespaceSplit(), normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()]))
    yield "strip", plain(pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Digits(True)]),
                         normalizers.Sequence([normalizers.Strip(), normalizers.Lowercase()]))
    yield "strip-left-nmt", plain(None, normalizers.Sequence([normalizers.Nmt(), normalizers.Strip(left=True, right=False)]))
    yield "bert-options", plain(pre_tokenizers.CharDelimiterSplit(" "), normalizers.BertNormalizer(
        clean_text=False, handle_chinese_chars=True, strip_accents=True, lowercase=False))
    yield "bert-options-2", plain(pre_tokenizers.FixedLength(4), normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=False, strip_accents=None, lowercase=True))
    roberta = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True))
    roberta.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 1))
    yield "roberta", roberta
    bert = plain(pre_tokenizers.BertPreTokenizer(), normalizers.BertNormalizer())
    bert.post_processor = processors.BertProcessing(("</s>", 2), ("<s>", 1))
    yield "bert-processing", bert


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    texts = TEXTS + random_texts(60, 11)
    results = {}
    for name, tokenizer in cases():
        folder = OUT / name
        folder.mkdir(exist_ok=True)
        data = json.loads(tokenizer.to_str())
        (folder / "tokenizer.json").write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n", "utf8")
        rows = []
        for text in texts:
            tokenizer.encode_special_tokens = False
            full = tokenizer.encode(text, add_special_tokens=True).ids
            special = tokenizer.encode(text, add_special_tokens=False).ids
            tokenizer.encode_special_tokens = True
            literal = tokenizer.encode(text, add_special_tokens=False).ids
            row = {"ids": literal, "text": tokenizer.decode(literal, skip_special_tokens=False)}
            if special != literal:
                row["special"] = special
                row["special_text"] = tokenizer.decode(special, skip_special_tokens=True)
            at = next(i for i in range(len(full) + 1) if full[i:i + len(special)] == special)
            row["around"] = [full[:at], full[at + len(special):]]
            if row["around"] == [[], []]:
                del row["around"]
            if row["text"] == text:
                del row["text"]
            rows.append(row)
        results[name] = rows
        print(name, sum(len(r["ids"]) for r in rows))
    with open(OUT / "golden.json", "w", encoding="utf8") as out:
        json.dump({"texts": texts, "cases": results}, out, ensure_ascii=True, separators=(",", ":"))
        out.write("\n")


if __name__ == "__main__":
    main()
