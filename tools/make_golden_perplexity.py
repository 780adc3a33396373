#!/usr/bin/env python3
"""Golden perplexities from Hugging Face transformers: strided windows over random tokens, float32.

Follows the guide "Perplexity of fixed-length models", every scored token weighted alike.
Usage: make_golden_perplexity.py MODEL_FOLDER OUTPUT
"""
import json
import sys

import torch
import transformers

TOKENS = 90
WINDOWS = [(24, 8), (24, 23), (16, 1), (64, 32), (60, 59)]


def strided(model, ids, window, stride):
    losses = []
    scored_to = 1
    begin = 0
    while scored_to < len(ids):
        end = min(begin + window, len(ids))
        with torch.no_grad():
            logits = model(torch.tensor([ids[begin:end]])).logits[0].double()
        log_probabilities = torch.log_softmax(logits, dim=-1)
        for position in range(scored_to, end):
            losses.append(-log_probabilities[position - begin - 1, ids[position]].item())
        scored_to = end
        begin += stride
    losses = torch.tensor(losses, dtype=torch.float64)
    perplexity = losses.mean().exp().item()
    error = perplexity * (losses.std(unbiased=True) / len(losses) ** 0.5).item()
    return {"window": window, "stride": stride, "tokens_scored": len(losses), "perplexity": perplexity,
            "standard_error": error}


def main():
    torch.manual_seed(1)
    model = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32,
                                                              attn_implementation="eager").eval()
    ids = torch.randint(0, model.config.vocab_size, (TOKENS,)).tolist()
    cases = [strided(model, ids, window, stride) for window, stride in WINDOWS]
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump({"transformers": transformers.__version__, "tokens": ids, "cases": cases}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
