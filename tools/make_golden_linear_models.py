#!/usr/bin/env python3
"""Makes the golden model linear_kinds: a tiny Llama whose layers are the linear kinds of attention, one each, and flash.

Written from the papers in plain PyTorch, each recurrence token by token in float64 with autograd's gradients, so that
nothing is shared with the program's chunks: linear (Katharopoulos 2020), gated linear (Yang 2024), delta rule (Schlag
2021), gated delta rule (Yang 2025). Writes tests/golden/models/linear_kinds/, tests/golden/models/linear_kinds.golden
(see make_golden_models.py) and tests/golden/gradients/linear_kinds.safetensors (see make_golden_gradients.py).
Versions: tools/requirements.txt.

    OMP_NUM_THREADS=1 venv/bin/python tools/make_golden_linear_models.py
"""
import json

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

import make_golden_gradients
import make_golden_models

KINDS = ["linear", "gated_linear", "delta_rule", "gated_delta_rule", "flash"]
HIDDEN, INTER, HEADS, KV, DIM, VOCAB, EPS = 32, 48, 4, 2, 8, 64, 1e-5
NAME = "linear_kinds"


def make_weights():
    generator = torch.Generator().manual_seed(7)
    normal = lambda *shape: torch.randn(*shape, generator=generator) * 0.3
    norm = lambda size: 1 + torch.randn(size, generator=generator) * 0.2
    weights = {"model.embed_tokens.weight": normal(VOCAB, HIDDEN), "model.norm.weight": norm(HIDDEN),
               "lm_head.weight": normal(VOCAB, HIDDEN)}
    for layer, kind in enumerate(KINDS):
        p = f"model.layers.{layer}."
        weights |= {p + "input_layernorm.weight": norm(HIDDEN), p + "post_attention_layernorm.weight": norm(HIDDEN),
                    p + "self_attn.q_proj.weight": normal(HEADS * DIM, HIDDEN),
                    p + "self_attn.k_proj.weight": normal(KV * DIM, HIDDEN),
                    p + "self_attn.v_proj.weight": normal(KV * DIM, HIDDEN),
                    p + "self_attn.o_proj.weight": normal(HIDDEN, HEADS * DIM),
                    p + "mlp.gate_proj.weight": normal(INTER, HIDDEN), p + "mlp.up_proj.weight": normal(INTER, HIDDEN),
                    p + "mlp.down_proj.weight": normal(HIDDEN, INTER)}
        a = p + "self_attn."
        if kind == "gated_linear":
            weights |= {a + "gk_proj.0.weight": normal(16, HIDDEN), a + "gk_proj.1.weight": normal(KV * DIM, 16) * 3,
                        a + "gk_proj.1.bias": normal(KV * DIM), a + "g_norm.weight": norm(DIM)}
        if "delta" in kind:
            weights |= {a + "b_proj.weight": normal(KV, HIDDEN), a + "o_norm.weight": norm(DIM)}
        if kind == "gated_delta_rule":
            weights |= {a + "a_proj.weight": normal(KV, HIDDEN), a + "A_log": normal(KV), a + "dt_bias": normal(KV) - 1}
    return weights


def rms_norm(x, weight):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + EPS) * weight


def rotate(x):  # [T, H, D], half-rotation
    half = DIM // 2
    angles = torch.arange(x.shape[0])[:, None].double() * 10000.0 ** (-torch.arange(half).double() / half)
    cos, sin = (torch.cat([f(angles)] * 2, -1)[:, None] for f in (torch.cos, torch.sin))
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin


def unit(x):
    x = F.silu(x)
    return x / torch.sqrt((x * x).sum(-1, keepdim=True) + 1e-6)


def recurrence(q, k, v, decay, beta, scale):
    """q [T, H, D], k and v [T, K, D], decay [T, K, D or 1], beta [T, K] or None -> [T, H, D]."""
    state, outputs = torch.zeros(KV, DIM, v.shape[-1], dtype=q.dtype), []
    for t in range(q.shape[0]):
        state = state * decay[t][..., None]
        written = v[t]
        if beta is not None:
            written = beta[t][:, None] * (v[t] - torch.einsum("kd,kde->ke", k[t], state))
        state = state + torch.einsum("kd,ke->kde", k[t], written)
        outputs.append(scale * torch.einsum("hd,hde->he", q[t], state.repeat_interleave(HEADS // KV, 0)))
    return torch.stack(outputs)


def attention(w, p, kind, x):
    heads = lambda name, count: (x @ w[p + name + ".weight"].T).view(-1, count, DIM)
    q, k, v = heads("q_proj", HEADS), heads("k_proj", KV), heads("v_proj", KV)
    ones, scale = torch.ones(x.shape[0], KV, 1, dtype=x.dtype), DIM ** -0.5
    if kind == "flash":
        q, k = rotate(q), rotate(k)
        k, v = (t.repeat_interleave(HEADS // KV, 1).transpose(0, 1) for t in (k, v))
        mixed = F.scaled_dot_product_attention(q.transpose(0, 1), k, v, is_causal=True).transpose(0, 1)
    elif kind == "linear":
        q, k = F.elu(q) + 1, F.elu(k) + 1
        mixed = recurrence(q, k, torch.cat([v, ones], -1), ones, None, 1.0)
        mixed = mixed[..., :DIM] / (mixed[..., DIM:] + 1e-6)
    elif kind == "gated_linear":
        gates = F.logsigmoid(x @ w[p + "gk_proj.0.weight"].T @ w[p + "gk_proj.1.weight"].T + w[p + "gk_proj.1.bias"]) / 16
        mixed = rms_norm(recurrence(q, k, v, torch.exp(gates).view(-1, KV, DIM), None, scale), w[p + "g_norm.weight"])
    else:
        decay = ones
        if kind == "gated_delta_rule":
            step = F.softplus(x @ w[p + "a_proj.weight"].T + w[p + "dt_bias"])
            decay = torch.exp(-torch.exp(w[p + "A_log"]) * step)[..., None]
        beta = torch.sigmoid(x @ w[p + "b_proj.weight"].T)
        mixed = rms_norm(recurrence(unit(q), unit(k), v, decay, beta, scale), w[p + "o_norm.weight"])
    return mixed.reshape(-1, HEADS * DIM) @ w[p + "o_proj.weight"].T


def logits_of(w, tokens):
    x = w["model.embed_tokens.weight"][torch.as_tensor(tokens)]
    for layer, kind in enumerate(KINDS):
        p = f"model.layers.{layer}."
        x = x + attention(w, p + "self_attn.", kind, rms_norm(x, w[p + "input_layernorm.weight"]))
        h = rms_norm(x, w[p + "post_attention_layernorm.weight"])
        gated = F.silu(h @ w[p + "mlp.gate_proj.weight"].T) * (h @ w[p + "mlp.up_proj.weight"].T)
        x = x + gated @ w[p + "mlp.down_proj.weight"].T
    return rms_norm(x, w["model.norm.weight"]) @ w["lm_head.weight"].T


def main():
    folder = make_golden_models.OUT / NAME
    folder.mkdir(exist_ok=True)
    stored = make_weights()
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_mechanisms": KINDS,
              "vocab_size": VOCAB, "hidden_size": HIDDEN, "intermediate_size": INTER, "num_hidden_layers": len(KINDS),
              "num_attention_heads": HEADS, "num_key_value_heads": KV, "head_dim": DIM, "max_position_embeddings": 128,
              "rms_norm_eps": EPS, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": False,
              "torch_dtype": "float32"}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    weights = {name: tensor.double().requires_grad_() for name, tensor in stored.items()}

    tokens = torch.randint(0, VOCAB, (make_golden_models.PROMPT,), generator=torch.Generator().manual_seed(8)).tolist()
    with torch.no_grad():
        prompt = len(tokens)
        while len(tokens) < prompt + 28:
            tokens.append(int(logits_of(weights, tokens)[-1].argmax()))
        make_golden_models.write_golden(NAME, tokens, logits_of(weights, tokens).float())

    half = len(tokens) // 2
    logits = torch.cat([logits_of(weights, tokens[:half]), logits_of(weights, tokens[half:2 * half])])
    targets = torch.tensor(tokens[1:half] + [-100] + tokens[half + 1:2 * half] + [-100])
    loss = F.cross_entropy(logits, targets, ignore_index=-100)
    loss.backward()
    tensors = {"loss": loss.detach().float().reshape(1)}
    tensors |= {name: weight.grad.float().contiguous() for name, weight in weights.items()}
    save_file(tensors, make_golden_gradients.GOLDEN / "gradients" / f"{NAME}.safetensors")
    print(f"{NAME}: prompt of {prompt}, loss {loss.item():.6f}, {len(tensors) - 1} gradients")


if __name__ == "__main__":
    main()
