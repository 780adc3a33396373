#!/usr/bin/env python3
"""Writes tests/golden/sparse_attention/gradients.txt: outputs and gradients of sparse attention in PyTorch float64.

scaled_dot_product_attention with an explicit boolean mask for each pattern (those of make_golden_linear_attention.py),
two query heads over one key/value head, and what autograd says of sum(output * weights). Inputs are float32 numbers.
Needs tools/requirements.txt (torch). Usage: tools/make_golden_sparse_attention.py
"""
import pathlib

import make_golden_linear_attention as plain
import torch

T, HEADS, DIM = 40, 2, 4


def write(file, name, tensor):
    rows = tensor.reshape(T, -1)
    file.write(f"{name} {rows.shape[0]} {rows.shape[1]}\n")
    for row in rows.tolist():
        file.write(" ".join(f"{x:.9g}" for x in row) + "\n")


def main():
    torch.manual_seed(12)
    plain.T = T
    folder = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/sparse_attention"
    folder.mkdir(parents=True, exist_ok=True)
    q = torch.randn(T, HEADS, DIM).double().requires_grad_()
    k = torch.randn(T, 1, DIM).double().requires_grad_()
    v = torch.randn(T, 1, DIM).double().requires_grad_()
    weights = torch.randn(T, HEADS, DIM).double()
    with open(folder / "gradients.txt", "w", encoding="ascii") as file:
        for name, tensor in {"q": q, "k": k, "v": v, "weights": weights}.items():
            write(file, name, tensor)
        for name, mask in plain.masks().items():
            heads = lambda x: x.transpose(0, 1).expand(HEADS, T, DIM)
            output = torch.nn.functional.scaled_dot_product_attention(heads(q), heads(k), heads(v), attn_mask=mask)
            output = output.transpose(0, 1)
            gradients = torch.autograd.grad((output * weights).sum(), (q, k, v))
            for part, tensor in zip(("o", "dq", "dk", "dv"), (output, *gradients)):
                write(file, f"{name}_{part}", tensor)


if __name__ == "__main__":
    main()
