#!/usr/bin/env python3
"""Makes tests/golden/quantization: random blocks of every quantised GGUF type and their values.

The oracle is the Python package `gguf` (its numpy implementation of the formats). For each type T,
T.blocks holds 1024 elements' worth of blocks as a file would, and T.values the float32 values.
Every bit pattern of the packed integers is as likely as any other; the f16 scales are finite numbers
of either sign, a few of them zero or subnormal.

Usage: python3 tools/make_golden_quantization.py        (needs: pip install gguf numpy)
"""
from pathlib import Path

import gguf
import numpy as np

# Byte offsets of the f16 fields in a block.
HALF_FIELDS = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "IQ4_NL": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}
ELEMENTS = 1024


def random_blocks(rng, block_bytes, count, fields):
    blocks = rng.integers(0, 256, (count, block_bytes), dtype=np.uint8)
    for offset in fields:
        scales = (rng.standard_normal(count) * 0.05).astype(np.float16)
        scales[0] = np.float16(3e-6)  # subnormal
        scales[-1] = np.float16(0)
        blocks[:, offset:offset + 2] = scales.view(np.uint8).reshape(count, 2)
    return blocks


def main():
    folder = Path(__file__).resolve().parent.parent / "tests" / "golden" / "quantization"
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(20240611)
    for name, fields in HALF_FIELDS.items():
        kind = gguf.GGMLQuantizationType[name]
        block_elements, block_bytes = gguf.GGML_QUANT_SIZES[kind]
        blocks = random_blocks(rng, block_bytes, ELEMENTS // block_elements, fields)
        values = gguf.quants.dequantize(blocks.reshape(1, -1), kind).astype(np.float32).reshape(-1)
        assert values.size == ELEMENTS and np.isfinite(values).all()
        (folder / f"{name}.blocks").write_bytes(blocks.tobytes())
        (folder / f"{name}.values").write_bytes(values.astype("<f4").tobytes())
        print(f"{name}: {blocks.size} bytes, {values.size} values")


if __name__ == "__main__":
    main()
