#!/usr/bin/env python3
"""Makes tests/golden/quantize: rows of float32 values and the blocks that they are rounded to.

The oracle is the Python package `gguf` (its numpy implementation of the formats' reference rounding). input.values holds
float32 rows of all sizes and shapes of distribution; for each type T, T.blocks holds what the package makes of them.
llama.T.gguf is ../models/llama.gguf with every matrix in type T, those whose rows are no multiple of 32 in F16.

Usage: python3 tools/make_golden_quantize.py        (needs: pip install gguf numpy)
"""
from pathlib import Path

import gguf
import numpy as np

TYPES = ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]
BLOCK = 32
MODEL_TYPES = ["Q8_0", "Q4_0"]


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


def write_model(source, target, kind):
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, "llama")
    for tensor in reader.tensors:
        array = np.array(tensor.data)
        if array.ndim == 2:
            fits = array.shape[1] % BLOCK == 0
            used = kind if fits else gguf.GGMLQuantizationType.F16
            writer.add_tensor(tensor.name, gguf.quants.quantize(array, used), raw_dtype=used)
        else:
            writer.add_tensor(tensor.name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    folder = Path(__file__).resolve().parent.parent / "tests" / "golden" / "quantize"
    folder.mkdir(parents=True, exist_ok=True)
    values = rows(np.random.default_rng(20261121))
    (folder / "input.values").write_bytes(values.astype("<f4").tobytes())
    for name in TYPES:
        blocks = gguf.quants.quantize(values.reshape(1, -1), gguf.GGMLQuantizationType[name])
        (folder / f"{name}.blocks").write_bytes(blocks.tobytes())
        print(f"{name}: {values.size} values, {blocks.nbytes} bytes")
    for name in MODEL_TYPES:
        write_model(folder.parent / "models" / "llama.gguf", folder / f"llama.{name}.gguf",
                    gguf.GGMLQuantizationType[name])


if __name__ == "__main__":
    main()
