#!/usr/bin/env python3
"""Makes tests/golden/formats: small GGUF and safetensors files written by the Python packages gguf and safetensors, and
what those packages say is in them, one line a fact. Also the first fuzzing seeds.

    pip install gguf safetensors torch numpy
    python tools/make_golden_formats.py
"""
import json
import pathlib
import shutil

import gguf
import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

root = pathlib.Path(__file__).resolve().parent.parent
golden = root / "tests" / "golden" / "formats"
seeds = root / "tests" / "fuzz" / "seeds"
golden.mkdir(parents=True, exist_ok=True)
random = np.random.default_rng(20240607)


def write_gguf(path, alignment=None):
    writer = gguf.GGUFWriter(path, "llama")
    if alignment:
        writer.add_custom_alignment(alignment)
    writer.add_name("Gölden \U0001f642")
    writer.add_uint8("test.u8", 255)
    writer.add_int8("test.i8", -128)
    writer.add_uint16("test.u16", 65535)
    writer.add_int16("test.i16", -32768)
    writer.add_uint32("test.u32", 4294967295)
    writer.add_int32("test.i32", -2147483648)
    writer.add_uint64("test.u64", 2**63 - 1)
    writer.add_int64("test.i64", -(2**63))
    writer.add_float32("test.f32", 0.15625)
    writer.add_float64("test.f64", 3.141592653589793)
    writer.add_bool("test.true", True)
    writer.add_bool("test.false", False)
    writer.add_string("test.empty", "")
    writer.add_array("test.strings", ["a", "", "ünï", "<|im_start|>"])
    writer.add_array("test.integers", [1, -2, 3])
    writer.add_array("test.floats", [0.5, -1.25])
    writer.add_array("test.bools", [True, False, True])
    tensors = {
        "plain.f32": random.standard_normal((3, 4)).astype(np.float32),
        "plain.f16": random.standard_normal((2, 3, 4)).astype(np.float16),
        "plain.i32": random.integers(-9, 9, (5,)).astype(np.int32),
    }
    for name, data in tensors.items():
        writer.add_tensor(name, data)
    for kind in ("BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"):
        quantization = getattr(gguf.GGMLQuantizationType, kind)
        data = gguf.quantize(random.standard_normal((2, 64)).astype(np.float32), quantization)
        writer.add_tensor(f"block.{kind.lower()}", data, raw_dtype=quantization)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def describe_value(value):
    if isinstance(value, (bool, np.bool_)):
        return f"bool {'true' if value else 'false'}"
    if isinstance(value, (int, np.integer)):
        return f"integer {int(value)}"
    if isinstance(value, (float, np.floating)):
        return f"float {float(value).hex()}"
    return f"string {value.encode().hex()}"


def describe_gguf(path):
    reader = gguf.GGUFReader(path)
    lines = []
    for key, field in reader.fields.items():
        if key.startswith("GGUF."):
            continue
        value = field.contents()
        if isinstance(value, list):
            lines += [f"key {key} array {len(value)}"]
            lines += [f"key {key}[{i}] {describe_value(item)}" for i, item in enumerate(value)]
        else:
            lines += [f"key {key} {describe_value(value)}"]
    for tensor in reader.tensors:
        shape = ", ".join(str(d) for d in reversed(tensor.shape.tolist()))
        lines += [f"tensor {tensor.name} {tensor.tensor_type.name} [{shape}] at {tensor.data_offset} "
                  f"{tensor.data.tobytes().hex()}"]
    return lines


def describe_safetensors(path, names):
    lines = []
    with safe_open(path, framework="pt") as file:
        for name in sorted(file.keys()):
            tensor = file.get_tensor(name).contiguous()
            shape = ", ".join(str(d) for d in tensor.shape)
            data = tensor.view(torch.uint8) if tensor.dim() else tensor.reshape(1).view(torch.uint8)
            lines += [f"tensor {name} {names[tensor.dtype]} [{shape}] {data.numpy().tobytes().hex()}"]
        lines += [f"metadata {key} {value}" for key, value in sorted((file.metadata() or {}).items())]
    return lines


def write_lines(path, lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


write_gguf(golden / "small.gguf")
write_lines(golden / "small.gguf.txt", describe_gguf(golden / "small.gguf"))
write_gguf(golden / "aligned.gguf", alignment=256)
write_lines(golden / "aligned.gguf.txt", describe_gguf(golden / "aligned.gguf"))

generator = torch.Generator().manual_seed(7)
save_file(
    {
        "wide": torch.randn(3, 5, generator=generator),
        "half": torch.randn(2, 2, 3, generator=generator).half(),
        "brain": torch.randn(7, generator=generator).bfloat16(),
        "longs": torch.tensor([1, -2, 2**62]),
        "ints": torch.tensor([[1], [-2]], dtype=torch.int32),
        "bytes": torch.tensor([0, 255], dtype=torch.uint8),
        "scalar": torch.tensor(2.5),
        "nothing": torch.zeros(0, 4),
    },
    golden / "small.safetensors",
    metadata={"format": "pt", "note": 'quoted "text"'},
)
names = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64", torch.int32: "I32",
         torch.uint8: "U8"}
write_lines(golden / "small.safetensors.txt", describe_safetensors(golden / "small.safetensors", names))

for folder in ("gguf", "safetensors", "config_json"):
    (seeds / folder).mkdir(parents=True, exist_ok=True)
shutil.copy(golden / "small.gguf", seeds / "gguf" / "all_types.gguf")
shutil.copy(golden / "small.safetensors", seeds / "safetensors" / "all_types.safetensors")
save_file({"flags": torch.tensor([True, False]), "doubles": torch.tensor([1.0], dtype=torch.float64)},
          seeds / "safetensors" / "unsupported_types.safetensors")
writer = gguf.GGUFWriter(seeds / "gguf" / "vocabulary.gguf", "llama")
writer.add_tokenizer_model("gpt2")
writer.add_token_list(["a", "b", "ab"])
writer.add_token_merges(["a b"])
writer.add_token_types([1, 1, 1])
writer.add_chat_template("{{ messages }}")
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.close()
config = {
    "architectures": ["LlamaForCausalLM"], "hidden_size": 64, "rms_norm_eps": 1e-06, "rope_theta": 1e6,
    "tie_word_embeddings": True, "torch_dtype": "bfloat16", "eos_token_id": [1, 2], "sliding_window": None,
    "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192},
    "layer_types": ["full_attention", "sliding_attention"], "text_config": {"vocab_size": 100, "nested": {"deep": [1.5, 2]}},
    "blocks": [{"kind": "a", "sizes": [1, 2]}, {"kind": "b"}], "mixed": [1, "two", None, [3]], "empty": [],
}
(seeds / "config_json" / "everything.json").write_text(json.dumps(config, indent=2))
(seeds / "config_json" / "escapes.json").write_text(json.dumps({"ключ\n": "\U0001f642\u0000\"\\"}))
