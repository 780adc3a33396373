#!/usr/bin/env python3
"""Writes tests/golden/train/*.tokens by docs/token-files.md alone: an oracle independent of the program.

Needs nothing but Python. tests/unit/train/token_file_test.cpp knows the same ids. Usage: tools/make_golden_token_files.py
"""
import pathlib
import struct

MASK = (1 << 64) - 1
P1, P2, P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P4, P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5


def rotate(value, bits):
    return ((value << bits) | (value >> (64 - bits))) & MASK


def one_round(lane, word):
    return rotate((lane + word * P2) & MASK, 31) * P1 & MASK


def xxh64(data, seed=0):
    """https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md"""
    at = 0
    if len(data) >= 32:
        lanes = [(seed + P1 + P2) & MASK, (seed + P2) & MASK, seed, (seed - P1) & MASK]
        while len(data) - at >= 32:
            words = struct.unpack_from("<4Q", data, at)
            lanes = [one_round(lane, word) for lane, word in zip(lanes, words)]
            at += 32
        value = sum(rotate(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18))) & MASK
        for lane in lanes:
            value = ((value ^ one_round(0, lane)) * P1 + P4) & MASK
    else:
        value = (seed + P5) & MASK
    value = (value + len(data)) & MASK
    while len(data) - at >= 8:
        value ^= one_round(0, struct.unpack_from("<Q", data, at)[0])
        value = (rotate(value, 27) * P1 + P4) & MASK
        at += 8
    if len(data) - at >= 4:
        value ^= struct.unpack_from("<I", data, at)[0] * P1 & MASK
        value = (rotate(value, 23) * P2 + P3) & MASK
        at += 4
    for byte in data[at:]:
        value = rotate(value ^ (byte * P5 & MASK), 11) * P1 & MASK
    value = (value ^ (value >> 33)) * P2 & MASK
    value = (value ^ (value >> 29)) * P3 & MASK
    return value ^ (value >> 32)


def padded(data):
    return data + bytes(-len(data) % 8)


def token_file(documents, vocabulary_size, fingerprint, mask=None):
    ids = [token for document in documents for token in document]
    starts, position = [], 0
    for document in documents:
        starts.append(position)
        position += len(document)
    wide = vocabulary_size > 65536
    content = padded(struct.pack("<%d%s" % (len(ids), "I" if wide else "H"), *ids))
    if mask is not None:
        bits = bytearray((len(ids) + 7) // 8)
        for index, counts in enumerate(mask):
            bits[index // 8] |= counts << (index % 8)
        content = padded(content + bytes(bits))
    content += struct.pack("<%dQ" % len(starts), *starts)
    header = b"TESSTOKS" + struct.pack("<II4QII2Q", 1, 4 if wide else 2, len(ids), len(documents), vocabulary_size,
                                       fingerprint, int(mask is not None), 0, xxh64(content), 0)
    header += struct.pack("<Q", xxh64(header))
    return header.ljust(128, b"\0") + content


def main():
    root = pathlib.Path(__file__).resolve().parent.parent / "tests"
    assert xxh64(b"") == 0xEF46DB3751D8E999
    narrow = [[i * i % 301 for i in range(13)], [300], [7 * i % 301 for i in range(23)]]
    mask = [int(i % 3 == 0) for i in range(37)]
    wide = [[i * 70000 % 100003 for i in range(10)]]
    files = {
        "masked_u16.tokens": token_file(narrow, 301, 0x0123456789ABCDEF, mask),
        "plain_u32.tokens": token_file(wide, 100003, 0),
        "empty.tokens": token_file([], 5, 1),
    }
    for folder in ("golden/train", "fuzz/seeds/token_file"):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (root / folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
