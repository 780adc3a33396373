#!/usr/bin/env python3
"""Makes tests/golden/lora: adapters that PEFT wrote for the tiny models of tests/golden/models, and what PEFT computes.

NAME/adapter_config.json and NAME/adapter_model.safetensors are PEFT's own files, with A and B random. NAME.safetensors
holds "logits" [T, V] of the model with its adapter on the golden tokens, and the "loss" [1] and its gradients by A and B
(under the names of the adapter's file) on the tokens as two sequences side by side, as tools/make_golden_gradients.py
has them. float32, eager attention, no dropout. Versions: tools/requirements.txt, and peft 0.21.2.

    OMP_NUM_THREADS=1 venv/bin/python tools/make_golden_lora.py
    venv/bin/python tools/make_golden_lora.py --load MODEL ADAPTER    PEFT's logits of tokens 1 to 8, for an adapter of ours
"""
import json
import shutil
import sys

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file

from make_golden_gradients import GOLDEN, read_tokens

ALL = "all-linear"
# Name of the model, and of its adapter where that has more to show: rank, alpha, rsLoRA, targets, patterns.
CASES = {
    "llama": ({"r": 4, "lora_alpha": 8}, ALL),
    "llama_tied": ({"r": 3, "lora_alpha": 5, "use_rslora": True}, ["q_proj", "v_proj"]),
    "llama_biases": ({"r": 4, "lora_alpha": 8, "rank_pattern": {"mlp.up_proj": 2},
                      "alpha_pattern": {"q_proj": 3, "model.layers.1.mlp.up_proj": 7}}, ALL),
    "mistral": ({"r": 1, "lora_alpha": 1}, ALL),
    "smollm3": ({"r": 4, "lora_alpha": 8}, ALL),
    "qwen2": ({"r": 4, "lora_alpha": 8}, ALL),
    "qwen3": ({"r": 4, "lora_alpha": 8}, ALL),
    "phi3": ({"r": 4, "lora_alpha": 8}, ALL),
    "gemma2": ({"r": 4, "lora_alpha": 8}, ALL),
    "gemma3": ({"r": 4, "lora_alpha": 8}, ALL),
    "gpt2": ({"r": 4, "lora_alpha": 8, "fan_in_fan_out": True}, ["c_attn", "c_proj", "c_fc"]),
    "gpt2_bare": ({"r": 4, "lora_alpha": 8, "fan_in_fan_out": True}, ["c_attn"]),
}


def load_base(folder):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    model.get_input_embeddings().padding_idx = None
    return model.eval()


def saved_name(name):
    return name.replace(".default.", ".")


def make(name, settings, targets):
    out = GOLDEN / "lora"
    model = load_base(GOLDEN / "models" / name)
    torch.manual_seed(sum(name.encode()))
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", target_modules=targets, **settings)).eval()
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert all("lora_" in n for n in trained)
    for parameter in trained.values():
        torch.nn.init.normal_(parameter, std=0.2)
    shutil.rmtree(out / name, ignore_errors=True)
    model.save_pretrained(out / name, save_embedding_layers=False)
    (out / name / "README.md").unlink()
    path = out / name / "adapter_config.json"
    config = json.loads(path.read_text())
    config |= {"base_model_name_or_path": name, "target_modules": sorted(config["target_modules"])}
    path.write_text(json.dumps(config, indent=1) + "\n")

    tokens = read_tokens(name)
    with torch.no_grad():
        tensors = {"logits": model(torch.tensor([tokens]), use_cache=False).logits[0].contiguous()}
    half = len(tokens) // 2
    ids = torch.tensor([tokens[:half], tokens[half:]])
    targets = torch.full_like(ids, -100)
    targets[:, :-1] = ids[:, 1:]
    logits = model(ids, use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)
    loss.backward()
    tensors["loss"] = loss.detach().reshape(1)
    tensors |= {saved_name(n): p.grad.contiguous() for n, p in trained.items()}
    save_file(tensors, out / f"{name}.safetensors")
    print(f"{name}: loss {loss.item():.6f}, {len(trained)} matrices")


def main():
    if sys.argv[1:2] == ["--load"]:
        model = PeftModel.from_pretrained(load_base(sys.argv[2]), sys.argv[3]).eval()
        with torch.no_grad():
            for row in model(torch.arange(1, 9)[None], use_cache=False).logits[0].tolist():
                print(" ".join(f"{value:.7g}" for value in row))
        return
    (GOLDEN / "lora").mkdir(exist_ok=True)
    for name, (settings, targets) in CASES.items():
        make(name, settings, targets)


if __name__ == "__main__":
    main()
