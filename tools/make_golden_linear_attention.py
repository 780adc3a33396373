#!/usr/bin/env python3
"""Writes tests/golden/linear_attention/*.txt with PyTorch in float64, each mechanism in its plainest form.

The formulas are those of the papers, written as batched matrix algebra rather than as the program's loops: matrix
exponents and masks for the linear kinds, explicit (I - beta k k^T) products for the delta rule, and
scaled_dot_product_attention with a boolean mask for the patterns. Needs tools/requirements.txt (torch).
Usage: tools/make_golden_linear_attention.py
"""
import pathlib

import torch

torch.manual_seed(11)
T, KEY, VALUE = 37, 5, 7
MASK64 = (1 << 64) - 1


def elu_linear(q, k, v):
    q, k = torch.nn.functional.elu(q) + 1, torch.nn.functional.elu(k) + 1
    scores = torch.tril(q @ k.T)
    return scores @ v / (scores.sum(-1, keepdim=True) + 1e-6)


def gated_linear(q, k, v, g, scale):
    sums = g.cumsum(0)
    decay = torch.exp((sums[:, None, :] - sums[None, :, :]).masked_fill(
        ~torch.ones(T, T, dtype=torch.bool).tril()[..., None], -torch.inf))
    scores = torch.einsum("td,jd,tjd->tj", q, k, decay)
    state = torch.einsum("jd,je->de", k * torch.exp(sums[-1] - sums), v)
    return scale * scores @ v, state


def delta(q, k, v, beta, g, scale):
    state = torch.zeros(KEY, VALUE, dtype=torch.float64)
    outputs = []
    for t in range(T):
        forget = torch.eye(KEY, dtype=torch.float64) - beta[t] * torch.outer(k[t], k[t])
        state = forget @ (torch.exp(g[t]) * state) + beta[t] * torch.outer(k[t], v[t])
        outputs.append(scale * q[t] @ state)
    return torch.stack(outputs), state


def split_mix64(value):
    value = (value + 0x9E3779B97F4A7C15) & MASK64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK64
    return value ^ (value >> 31)


def bigbird_mask(block, random_blocks, seed):
    """Built from blocks, row by row."""
    if T <= (5 + 2 * random_blocks) * block:
        return torch.ones(T, T, dtype=torch.bool)
    blocks = -(-T // block)
    layout = torch.zeros(blocks, blocks, dtype=torch.bool)
    layout[0] = layout[-1] = True
    layout[:, 0] = layout[:, -1] = True
    for row in range(blocks):
        layout[row, max(row - 1, 0):row + 2] = True
    window_and_global = layout.clone()
    for row in range(1, blocks - 1):
        left = [c for c in range(blocks) if not window_and_global[row, c]]
        key = split_mix64(split_mix64(seed) ^ row)
        for i in range(min(random_blocks, len(left))):
            other = i + split_mix64(key ^ i) % (len(left) - i)
            left[i], left[other] = left[other], left[i]
            layout[row, left[i]] = True
    return layout.repeat_interleave(block, 0).repeat_interleave(block, 1)[:T, :T]


def masks():
    q = torch.arange(T)[:, None]
    k = torch.arange(T)[None, :]
    causal = k <= q
    return {
        "window_causal": (k > q - 6) & causal,
        "window_both": (q - k).abs() <= 6,
        "strided": causal & ((q - k) % 5 == 0),
        "fixed": causal & ((torch.div(k, 5, rounding_mode="floor") == torch.div(q, 5, rounding_mode="floor"))
                           | (k % 5 >= 5 - 2)),
        "bigbird": bigbird_mask(4, 1, 99),
        "bigbird_causal": bigbird_mask(4, 1, 99) & causal,
        "bigbird_short": bigbird_mask(4, 3, 99) & causal,
    }


def write(folder, name, tensors):
    with open(folder / f"{name}.txt", "w", encoding="ascii") as file:
        for key, tensor in tensors.items():
            tensor = tensor.to(torch.float64)
            rows, columns = (tensor.shape[0], 1) if tensor.dim() == 1 else tensor.shape
            file.write(f"{key} {rows} {columns}\n")
            for row in tensor.reshape(rows, columns).tolist():
                file.write(" ".join(repr(x) for x in row) + "\n")


def main():
    folder = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/linear_attention"
    folder.mkdir(parents=True, exist_ok=True)
    q = torch.randn(T, KEY, dtype=torch.float64)
    k = torch.randn(T, KEY, dtype=torch.float64)
    v = torch.randn(T, VALUE, dtype=torch.float64)
    g = torch.nn.functional.logsigmoid(torch.randn(T, KEY, dtype=torch.float64))
    head_gate = torch.nn.functional.logsigmoid(torch.randn(T, dtype=torch.float64) + 1)
    beta = torch.sigmoid(torch.randn(T, dtype=torch.float64))
    unit = k / torch.sqrt((k * k).sum(-1, keepdim=True) + 1e-6)
    scale = KEY**-0.5
    inputs = {"queries": q, "keys": k, "values": v, "log_gates": g, "head_log_gates": head_gate, "betas": beta,
              "unit_keys": unit}
    outputs = {"elu": elu_linear(q, k, v)}
    outputs["gated"], outputs["gated_state"] = gated_linear(q, k, v, g, scale)
    outputs["delta"], outputs["delta_state"] = delta(q, unit, v, beta, torch.zeros(T, dtype=torch.float64), scale)
    outputs["gated_delta"], outputs["gated_delta_state"] = delta(q, unit, v, beta, head_gate, scale)
    write(folder, "linear", inputs | outputs)
    patterns = {"queries": q, "keys": k, "values": v}
    for name, mask in masks().items():
        patterns[name + "_mask"] = mask
        patterns[name] = torch.nn.functional.scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=mask[None])[0]
    write(folder, "patterns", patterns)


if __name__ == "__main__":
    main()
