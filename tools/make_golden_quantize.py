#!/usr/bin/env python3
"""Makes tests/golden/quantize: rows of float32 values and the blocks that they are rounded to.

The oracle is the Python package `gguf` (its numpy implementation of the formats' reference rounding). input.values holds
float32 rows of all sizes and shapes of distribution; for each type T, T.blocks holds what the package makes of them.

Usage: python3 tools/make_golden_quantize.py        (needs: pip install gguf numpy)
"""
from pathlib import Path

import gguf
import numpy as np

TYPES = ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]
BLOCK = 32


def rows(rng):
    parts = [rng.standard_normal(16 * BLOCK) * 0.02, rng.standard_normal(8 * BLOCK) * 7.0, rng.random(4 * BLOCK) + 1.0,
             -rng.random(4 * BLOCK), rng.standard_t(2, 8 * BLOCK), rng.standard_normal(4 * BLOCK) * 1e-4,
             rng.laplace(size=8 * BLOCK) * 300.0]
    special = np.zeros((6, BLOCK))
    special[1] = 0.375  # constant
    special[2] = -3.0
    special[3, 5] = 100.0  # one value alone
    special[4] = np.arange(BLOCK) - 15.5  # ties between levels
    special[5, ::2], special[5, 1::2] = 2.0, -2.0  # extremes of both signs
    return np.concatenate([*parts, special.reshape(-1)]).astype(np.float32)


def main():
    folder = Path(__file__).resolve().parent.parent / "tests" / "golden" / "quantize"
    folder.mkdir(parents=True, exist_ok=True)
    values = rows(np.random.default_rng(20261121))
    (folder / "input.values").write_bytes(values.astype("<f4").tobytes())
    for name in TYPES:
        blocks = gguf.quants.quantize(values.reshape(1, -1), gguf.GGMLQuantizationType[name])
        (folder / f"{name}.blocks").write_bytes(blocks.tobytes())
        print(f"{name}: {values.size} values, {blocks.nbytes} bytes")


if __name__ == "__main__":
    main()
