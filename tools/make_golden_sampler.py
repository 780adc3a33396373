#!/usr/bin/env python3
"""Golden distributions for engine/sampler, from Hugging Face transformers' logits processors in float64.

Writes tests/golden/sampler/distributions.json: logits, history, options, and the (token, probability) pairs left.
Presence and frequency penalties, which transformers lacks, follow the formula of OpenAI's API reference.
Usage: make_golden_sampler.py OUTPUT
"""
import json
import sys

import torch
import transformers
from transformers.generation import logits_process as processors

VOCABULARY = 48


def distribution(logits, history, generated, options):
    ids = torch.tensor([history])
    scores = torch.tensor([logits], dtype=torch.float64)
    for token, bias in options.get("logit_bias", []):
        scores[0, token] += bias
    window = options.get("penalty_window", -1)
    seen = history if window < 0 else history[len(history) - min(window, len(history)):]
    if "repetition_penalty" in options and seen:
        step = processors.RepetitionPenaltyLogitsProcessor(options["repetition_penalty"])
        scores = step(torch.tensor([seen]), scores)
    own = seen[len(seen) - min(generated, len(seen)):]
    for token in set(own):
        scores[0, token] -= options.get("presence_penalty", 0) + own.count(token) * options.get("frequency_penalty", 0)
    warpers = [
        ("temperature", processors.TemperatureLogitsWarper),
        ("top_k", processors.TopKLogitsWarper),
        ("top_p", processors.TopPLogitsWarper),
        ("min_p", processors.MinPLogitsWarper),
        ("typical_p", processors.TypicalLogitsWarper),
    ]
    for name, make in warpers:
        if name in options:
            scores = make(options[name])(ids, scores)
    probabilities = torch.softmax(scores[0], dim=-1).tolist()
    return [[token, p] for token, p in enumerate(probabilities) if p > 0]


def main():
    generator = torch.Generator().manual_seed(20240607)
    option_sets = [
        {},
        {"temperature": 0.7},
        {"temperature": 2.5},
        {"top_k": 1},
        {"top_k": 7},
        {"top_p": 0.1},
        {"top_p": 0.9},
        {"min_p": 0.05},
        {"min_p": 1.0},
        {"typical_p": 0.2},
        {"typical_p": 0.95},
        {"repetition_penalty": 1.3},
        {"repetition_penalty": 0.8, "penalty_window": 5},
        {"presence_penalty": 0.6, "frequency_penalty": 0.4},
        {"presence_penalty": -0.5, "penalty_window": 4},
        {"logit_bias": [[3, 5.0], [11, -4.0]]},
        {"logit_bias": [[3, 100.0]], "top_p": 0.5},
        {"temperature": 0.8, "top_k": 20, "top_p": 0.9},
        {"temperature": 1.5, "top_k": 30, "top_p": 0.95, "min_p": 0.02, "typical_p": 0.9},
        {"temperature": 0.6, "repetition_penalty": 1.1, "presence_penalty": 0.3, "top_p": 0.8, "typical_p": 0.7},
    ]
    cases = []
    for options in option_sets:
        for spread in (1.0, 4.0):
            logits = (torch.randn(VOCABULARY, generator=generator) * spread).tolist()
            history = torch.randint(0, VOCABULARY, (14,), generator=generator).tolist()
            history[-1] = history[-4]  # so that counts above one occur
            generated = 9
            cases.append({"options": options, "logits": logits, "history": history, "generated": generated,
                          "expected": distribution(logits, history, generated, options)})
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump({"transformers": transformers.__version__, "cases": cases}, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
