#!/usr/bin/env python3
"""Makes tests/golden/models: tiny random models of every architecture and the logits that PyTorch computes for them.

For each case: a Hugging Face folder NAME/ (config.json, model.safetensors), for most a NAME.gguf with the same weights
under GGUF's names and conventions, and NAME.golden: int32 tokens T, prompt length P, vocabulary V; T int32 token ids
(P random ones, then greedy continuations); T x V float32 logits, row t for the prefix that ends with token t.

The oracle is Hugging Face transformers in float32 on the weights as stored; the plain 2017 decoder has no class there
and is built from torch.nn. Before anything is written, the oracle's prefill and its token-by-token decode are checked
to agree, except where they cannot: dynamic NTK (its frequencies follow the length of the call; the golden values are
the token-by-token ones) and longrope beyond the trained context (the golden values are the prefill's).
Versions: tools/requirements.txt.

    python3 -m venv venv && venv/bin/pip install -r tools/requirements.txt
    OMP_NUM_THREADS=1 venv/bin/python tools/make_golden_models.py [NAME...]
"""
import json
import math
import shutil
import struct
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file

OUT = Path(__file__).resolve().parent.parent / "tests" / "golden" / "models"
VOCABULARY, PROMPT, STEPS = 67, 24, 8
WINDOW = 8  # far shorter than the prompt

SMALL = dict(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64)
SPECIAL = dict(bos_token_id=1, eos_token_id=2, pad_token_id=0)


def randomize(model, seed, norm_mean):
    """Weights large enough that every part of a layer shows in the logits."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.dim() == 1:
            centre = norm_mean if "norm" in name or "ln_" in name else 0.0
            parameter.data = (0.0 if name.endswith("bias") else centre) + 0.2 * noise
        elif "embed" in name or "wte" in name or "wpe" in name:
            parameter.data = 0.5 * noise
        else:
            fan_in = parameter.shape[0] if "c_" in name else parameter.shape[1]
            parameter.data = 1.3 * noise / math.sqrt(fan_in)


def prompt_tokens(seed):
    return torch.randint(0, VOCABULARY, (PROMPT,), generator=torch.Generator().manual_seed(seed)).tolist()


@torch.no_grad()
def whole(model, tokens):
    return model(torch.tensor([tokens]), use_cache=False).logits[0]


@torch.no_grad()
def stepwise(model, tokens):
    """Logits of token-by-token decode through the oracle's own cache."""
    cache, rows = transformers.DynamicCache(config=model.config), []
    for position, token in enumerate(tokens):
        out = model(torch.tensor([[token]]), past_key_values=cache, use_cache=True,
                    position_ids=torch.tensor([[position]]), cache_position=torch.tensor([position]))
        rows.append(out.logits[0, -1])
    return torch.stack(rows)


def golden(model, name, seed, oracle="both"):
    """Greedy continuation of a random prompt, and the logits of every prefix."""
    run = stepwise if oracle == "stepwise" else whole
    tokens = prompt_tokens(seed)
    for _ in range(STEPS):
        tokens.append(int(run(model, tokens)[-1].argmax()))
    logits = run(model, tokens)
    if oracle == "both":
        difference = (stepwise(model, tokens) - logits).abs().max() / logits.abs().max()
        assert difference < 2e-5, f"{name}: the oracle disagrees with itself by {difference}"
    write_golden(name, tokens, logits)


def write_golden(name, tokens, logits):
    top = logits[PROMPT - 1:-1].topk(2).values  # the rows that chose a token
    gap = float((top[:, 0] - top[:, 1]).min() / logits.abs().max())
    assert gap > 3e-4, f"{name}: a token is chosen by {gap}, within rounding; take another seed"
    with open(OUT / f"{name}.golden", "wb") as file:
        file.write(struct.pack("<3i", len(tokens), PROMPT, logits.shape[1]))
        file.write(np.asarray(tokens, dtype="<i4").tobytes())
        file.write(logits.numpy().astype("<f4").tobytes())
    size = float(logits.abs().max())
    print(f"{name}: {logits.shape[0]} rows, |logit| up to {size:.2f}, smallest lead of a chosen token {gap:.1e}")


def old_rope(config):
    """The spelling of checkpoints made before transformers 5: rope_theta and rope_scaling side by side."""
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    rope.pop("partial_rotary_factor", None)
    config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    return config


def save(model, name, edit=None, **options):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, **options)
    (folder / "generation_config.json").unlink(missing_ok=True)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for key in ("transformers_version", "use_cache", "initializer_range"):
        config.pop(key, None)
    path.write_text(json.dumps(edit(config) if edit else config, indent=1, sort_keys=True) + "\n")


# ---- GGUF: the same weights under GGUF's names and conventions -----------------------------------------------------

PERMUTED = ("llama", "smollm3")  # GGUF reorders q and k of these so that rotated pairs lie side by side


def interleave_pairs(weight, heads):
    """Rows of each head from (first half, second half) to (pair 0, pair 1, ...)."""
    rows = weight.shape[0] // heads
    order = np.arange(rows).reshape(2, rows // 2).T.reshape(-1)
    return weight.reshape(heads, rows, *weight.shape[1:])[:, order].reshape(weight.shape)


def gguf_array(name, tensor, arch, config):
    array = tensor.float().numpy()
    heads = config.num_attention_heads
    if arch in PERMUTED and ".q_proj." in name:
        array = interleave_pairs(array, heads)
    if arch in PERMUTED and ".k_proj." in name:
        array = interleave_pairs(array, config.num_key_value_heads)
    if arch.startswith("gemma") and "norm" in name:
        array = array + 1.0
    if arch == "gpt2" and array.ndim == 2 and ".c_" in name:
        array = array.T
    return np.ascontiguousarray(array)


def write_parameters(writer, config, arch):
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    if arch == "gpt2":
        writer.add_feed_forward_length(config.n_inner or 4 * config.n_embd)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
        return
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    if head_dim * config.num_attention_heads != config.hidden_size or arch.startswith(("gemma", "qwen3")):
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    if getattr(config, "sliding_window", None) and arch != "qwen2":
        writer.add_sliding_window(config.sliding_window)
    if arch == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    write_rope(writer, config, arch, head_dim)


def write_rope(writer, config, arch, head_dim):
    rope = config.rope_parameters.get("full_attention", config.rope_parameters)
    writer.add_rope_freq_base(rope["rope_theta"])
    if not arch.startswith("gemma"):
        writer.add_rope_dimension_count(int(head_dim * rope.get("partial_rotary_factor", 1.0)))
    kind = rope["rope_type"]
    if kind in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(kind))
        writer.add_rope_scaling_factor(rope["factor"])
    if kind in ("yarn", "longrope"):
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if kind == "longrope":
        trained = rope["original_max_position_embeddings"]
        stretch = config.max_position_embeddings / trained
        writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(stretch) / math.log(trained)))
        for length in ("long", "short"):
            writer.add_tensor(f"rope_factors_{length}.weight", np.asarray(rope[f"{length}_factor"], dtype=np.float32))


def write_gguf(model, name, arch, quantize=None):
    config = model.config
    writer = gguf.GGUFWriter(OUT / f"{name}.gguf", arch)
    write_parameters(writer, config, arch)
    if config.__dict__.get("rope_parameters", {}) and config.rope_parameters.get("rope_type") == "llama3":
        head_dim = config.hidden_size // config.num_attention_heads
        plain = config.rope_parameters["rope_theta"] ** (-torch.arange(0, head_dim, 2).double() / head_dim)
        writer.add_tensor("rope_freqs.weight", (plain / model.model.rotary_emb.inv_freq.double()).float().numpy())
    names = gguf.get_tensor_name_map({v: k for k, v in gguf.MODEL_ARCH_NAMES.items()}[arch], config.num_hidden_layers)
    tied = config.tie_word_embeddings
    for hf_name, tensor in model.state_dict().items():
        if tied and hf_name.startswith("lm_head"):
            continue
        target = names.get_name(hf_name, try_suffixes=(".weight", ".bias"))
        assert target, hf_name
        array = gguf_array(hf_name, tensor, arch, config)
        if quantize and array.ndim == 2:
            writer.add_tensor(target, gguf.quants.quantize(array, quantize), raw_dtype=quantize)
        elif tensor.dtype != torch.float32 and array.ndim == 2:
            kind = gguf.GGMLQuantizationType.F16 if tensor.dtype == torch.float16 else gguf.GGMLQuantizationType.BF16
            writer.add_tensor(target, gguf.quants.quantize(array, kind), raw_dtype=kind)
        else:
            writer.add_tensor(target, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# ---- cases ---------------------------------------------------------------------------------------------------------

def rope(kind, theta=10000.0, **values):
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=theta, **values))


def build(class_name, seed=1, norm_mean=1.0, **values):
    config_class = getattr(transformers, class_name.replace("ForCausalLM", "Config").replace("LMHeadModel", "Config")
                           .replace("Gemma3Config", "Gemma3TextConfig"))
    model = getattr(transformers, class_name)(config_class(**{**SMALL, **SPECIAL, **values})).float().eval()
    model.set_attn_implementation("eager")
    randomize(model, seed, norm_mean)
    model.tie_weights()
    return model


def plain_case(name, class_name, arch=None, edit=None, oracle="both", seed=1, **values):
    model = build(class_name, seed, norm_mean=0.0 if class_name.startswith("Gemma") else 1.0, **values)
    save(model, name, edit)
    golden(model, name, seed + 100, oracle)
    if arch:
        write_gguf(model, name, arch)


def rounded_case(name, dtype):
    """Weights of 16 bits; the oracle computes in float32 on exactly these weights."""
    model = build("LlamaForCausalLM", seed=3)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    save(model, name)
    write_gguf(model, name, "llama")
    golden(model.float(), name, 103)


def quantized_case(name, kind):
    """Block-quantised weights, GGUF only; the oracle computes in float32 on the dequantised weights."""
    model = build("LlamaForCausalLM", seed=4, hidden_size=64, intermediate_size=64, num_attention_heads=4)
    write_gguf(model, name, "llama", kind)
    for tensor in model.state_dict().values():
        if tensor.dim() == 2:
            blocks = gguf.quants.quantize(tensor.numpy(), kind)
            tensor.copy_(torch.from_numpy(gguf.quants.dequantize(blocks, kind)))
    golden(model, name, 104)


def sharded_case(name):
    model = build("LlamaForCausalLM", seed=5)
    save(model, name, max_shard_size="40KB")
    golden(model, name, 105)


def bare_gpt2_case(name):
    """The first published checkpoints: no "transformer." before the names, and the causal mask among the tensors."""
    model = build("GPT2LMHeadModel", seed=6, **GPT2)
    save(model, name, edit=lambda c: {k: v for k, v in c.items() if k != "tie_word_embeddings"})
    path = OUT / name / "model.safetensors"
    tensors = {k.removeprefix("transformer."): v for k, v in load_file(path).items()}
    for layer in range(2):
        tensors[f"h.{layer}.attn.bias"] = torch.ones(1, 1, 8, 8).tril()
    save_file(tensors, path, metadata={"format": "pt"})
    golden(model, name, 106)


class PlainTransformer(torch.nn.Module):
    """Vaswani et al. 2017, section 3, decoder without cross attention, from torch.nn's own layers."""

    def __init__(self):
        super().__init__()
        self.width, self.layers = 32, torch.nn.ModuleList(
            torch.nn.TransformerEncoderLayer(32, 4, 48, dropout=0.0, activation="relu", batch_first=True,
                                             norm_first=False) for _ in range(2))
        self.embed_tokens = torch.nn.Embedding(VOCABULARY, 32)

    def forward(self, tokens):
        angles = torch.arange(len(tokens)).double()[:, None] / 10000 ** (torch.arange(0, self.width, 2).double()
                                                                         / self.width)
        positions = torch.stack((angles.sin(), angles.cos()), dim=-1).reshape(len(tokens), self.width).float()
        x = (self.embed_tokens(torch.tensor(tokens)) * math.sqrt(self.width) + positions)[None]
        mask = torch.nn.Transformer.generate_square_subsequent_mask(len(tokens))
        for layer in self.layers:
            x = layer(x, src_mask=mask, is_causal=True)
        return x[0] @ self.embed_tokens.weight.T


@torch.no_grad()
def plain_transformer_case(name):
    torch.manual_seed(7)
    model = PlainTransformer().train()  # train(): the fused inference path of torch rounds differently
    randomize(model, 7, 1.0)
    tensors = {"model.embed_tokens.weight": model.embed_tokens.weight.data}
    for i, layer in enumerate(model.layers):
        at, attention = f"model.layers.{i}.", layer.self_attn
        for part, w, b in zip("qkv", attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)):
            tensors[f"{at}self_attn.{part}_proj.weight"], tensors[f"{at}self_attn.{part}_proj.bias"] = w, b
        for ours, theirs in (("self_attn.o_proj", attention.out_proj), ("self_attn_layer_norm", layer.norm1),
                             ("fc1", layer.linear1), ("fc2", layer.linear2), ("final_layer_norm", layer.norm2)):
            tensors[f"{at}{ours}.weight"], tensors[f"{at}{ours}.bias"] = theirs.weight, theirs.bias
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.detach().clone().contiguous() for k, v in tensors.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["PlainTransformerForCausalLM"], "model_type": "plain_transformer", "vocab_size": VOCABULARY,
        "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
        "max_position_embeddings": 64, "layer_norm_eps": 1e-5, "hidden_act": "relu", "tie_word_embeddings": True,
        "torch_dtype": "float32"}, indent=1) + "\n")
    tokens = prompt_tokens(107)
    for _ in range(STEPS):
        tokens.append(int(model(tokens)[-1].argmax()))
    write_golden(name, tokens, model(tokens))


GPT2 = dict(n_embd=32, n_layer=2, n_head=4, n_positions=64, n_inner=48)
LONGROPE = dict(short_factor=[1.0, 1.1, 1.3], long_factor=[1.0, 2.0, 5.0])


def old_gemma3(config):
    """As Gemma 3 was first published: two bases, one scaling, and a pattern instead of a list of layer types."""
    config.pop("rope_parameters"), config.pop("layer_types"), config.pop("_sliding_window_pattern", None)
    return config | dict(rope_theta=50000.0, rope_local_base_freq=2000.0, sliding_window_pattern=3,
                         rope_scaling=dict(rope_type="linear", factor=4.0))


def old_su(config):
    config = old_rope(config)
    config["rope_scaling"]["type"] = "su"
    del config["rope_scaling"]["rope_type"]
    return config


def old_linear(config):
    config = old_rope(config)
    config["rope_scaling"]["type"] = config["rope_scaling"].pop("rope_type")
    return config


llama = "LlamaForCausalLM"
gemma3_types = ["sliding_attention", "sliding_attention", "full_attention"]
CASES = {
    "llama": lambda n: plain_case(n, llama, "llama", rms_norm_eps=1e-5),
    "llama_tied": lambda n: plain_case(n, llama, "llama", edit=old_rope, tie_word_embeddings=True, seed=11),
    "llama_head_dim": lambda n: plain_case(n, llama, "llama", head_dim=12, num_key_value_heads=1, seed=12),
    "llama_biases": lambda n: plain_case(n, llama, "llama", attention_bias=True, mlp_bias=True, seed=13),
    "llama_linear": lambda n: plain_case(n, llama, "llama", edit=old_linear, num_hidden_layers=1, seed=14,
                                         **rope("linear", factor=2.5)),
    "llama_dynamic": lambda n: plain_case(n, llama, oracle="stepwise", seed=15, max_position_embeddings=16,
                                          **rope("dynamic", factor=3.0)),
    "llama_llama3": lambda n: plain_case(n, llama, "llama", edit=old_rope, num_hidden_layers=1, seed=16, **rope(
        "llama3", theta=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=16)),
    "llama_yarn": lambda n: plain_case(n, llama, "llama", num_hidden_layers=1, seed=17, **rope(
        "yarn", theta=1000.0, factor=4.0, original_max_position_embeddings=16)),
    "llama_f16": lambda n: rounded_case(n, torch.float16),
    "llama_bf16": lambda n: rounded_case(n, torch.bfloat16),
    "llama_sharded": sharded_case,
    "llama_q8_0": lambda n: quantized_case(n, gguf.GGMLQuantizationType.Q8_0),
    "llama_q4_1": lambda n: quantized_case(n, gguf.GGMLQuantizationType.Q4_1),
    "mistral": lambda n: plain_case(n, "MistralForCausalLM", "llama", sliding_window=WINDOW, head_dim=8, seed=20),
    "smollm3": lambda n: plain_case(n, "SmolLM3ForCausalLM", "smollm3", num_hidden_layers=4,
                                    seed=21),
    "qwen2": lambda n: plain_case(n, "Qwen2ForCausalLM", "qwen2", seed=22),
    "qwen2_sliding": lambda n: plain_case(n, "Qwen2ForCausalLM", use_sliding_window=True, sliding_window=WINDOW,
                                          max_window_layers=1, seed=23),
    "qwen3": lambda n: plain_case(n, "Qwen3ForCausalLM", "qwen3", head_dim=12, seed=24),
    "phi3": lambda n: plain_case(n, "Phi3ForCausalLM", "phi3", seed=25, sliding_window=WINDOW,
                                 original_max_position_embeddings=64),
    "phi3_short": lambda n: plain_case(n, "Phi3ForCausalLM", "phi3", edit=old_su, seed=26, hidden_size=24,
                                       max_position_embeddings=128, original_max_position_embeddings=32,
                                       **rope("longrope", **LONGROPE)),
    "phi3_long": lambda n: plain_case(n, "Phi3ForCausalLM", "phi3", oracle="whole", seed=27, hidden_size=32,
                                      max_position_embeddings=128, original_max_position_embeddings=16,
                                      **rope("longrope", partial_rotary_factor=0.75, **LONGROPE)),
    "gemma2": lambda n: plain_case(n, "Gemma2ForCausalLM", "gemma2", seed=28, head_dim=12, query_pre_attn_scalar=12,
                                   sliding_window=WINDOW, attn_logit_softcapping=2.0, final_logit_softcapping=3.0),
    "gemma3": lambda n: plain_case(n, "Gemma3ForCausalLM", "gemma3", seed=29, head_dim=8, query_pre_attn_scalar=8,
                                   num_hidden_layers=6, num_key_value_heads=1,
                                   sliding_window=WINDOW),
    "gemma3_scaled": lambda n: plain_case(
        n, "Gemma3ForCausalLM", edit=old_gemma3, seed=30, head_dim=12, query_pre_attn_scalar=20, num_hidden_layers=3,
        sliding_window=WINDOW, layer_types=gemma3_types, final_logit_softcapping=5.0,
        rope_parameters=dict(full_attention=dict(rope_type="linear", rope_theta=50000.0, factor=4.0),
                             sliding_attention=dict(rope_type="default", rope_theta=2000.0))),
    "gpt2": lambda n: plain_case(n, "GPT2LMHeadModel", "gpt2", seed=31, **GPT2),
    "gpt2_bare": bare_gpt2_case,
    "plain_transformer": plain_transformer_case,
}


def main():
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or CASES:
        CASES[name](name)


if __name__ == "__main__":
    main()
