#!/usr/bin/env python3
"""Writes a GGUF model with random weights in the shape of a known one: for measuring speed, not for talking.

  tools/make_random_model.py SHAPE FILE.gguf --vocabulary OTHER.gguf [--type F16|BF16|F32] [--seed 7]

SHAPE is one of the names below. The tokenizer is copied from OTHER.gguf and filled up with unused tokens to the size of the
vocabulary that the shape has. Quantised forms are made with `tessera quantize`. Needs: pip install numpy gguf
"""
import argparse
import sys

import gguf
import numpy as np

# hidden, layers, heads, key/value heads, head_dim, intermediate, vocabulary, context, rope theta, epsilon, q/k/v bias
SHAPES = {
    "smollm2-135m": ("llama", 576, 30, 9, 3, 64, 1536, 49152, 8192, 100000.0, 1e-5, False),
    "qwen2.5-0.5b": ("qwen2", 896, 24, 14, 2, 64, 4864, 151936, 32768, 1000000.0, 1e-6, True),
    "llama-3.2-1b": ("llama", 2048, 16, 32, 8, 64, 8192, 128256, 131072, 500000.0, 1e-5, False),
}
TYPES = {
    "F32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "F16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "BF16": (gguf.GGMLQuantizationType.BF16, gguf.LlamaFileType.MOSTLY_BF16),
}


def copy_vocabulary(writer, path, size):
    """The tokenizer of `path`, its list of tokens filled up to `size`."""
    source = gguf.GGUFReader(path)

    def strings(key):
        field = source.get_field(key)
        return [bytes(field.parts[i]) for i in field.data]

    tokens = strings("tokenizer.ggml.tokens")
    kinds = [int(source.get_field("tokenizer.ggml.token_type").parts[i][0])
             for i in source.get_field("tokenizer.ggml.token_type").data]
    if len(tokens) > size:
        sys.exit(f"{path} has {len(tokens)} tokens, the shape has room for {size}")
    missing = range(len(tokens), size)
    tokens += [f"<|unused_{i}|>".encode() for i in missing]
    kinds += [int(gguf.TokenType.UNUSED)] * len(missing)
    writer.add_tokenizer_model("gpt2")
    pre = source.get_field("tokenizer.ggml.pre")
    writer.add_tokenizer_pre(bytes(pre.parts[pre.data[0]]).decode() if pre else "gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(strings("tokenizer.ggml.merges"))
    for key, add in (("tokenizer.ggml.bos_token_id", writer.add_bos_token_id),
                     ("tokenizer.ggml.eos_token_id", writer.add_eos_token_id)):
        field = source.get_field(key)
        if field:
            add(int(field.parts[field.data[0]][0]))
    template = source.get_field("tokenizer.chat_template")
    if template:
        writer.add_chat_template(bytes(template.parts[template.data[0]]).decode())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=sorted(SHAPES))
    parser.add_argument("file")
    parser.add_argument("--vocabulary", required=True, help="a GGUF file whose tokenizer to copy")
    parser.add_argument("--type", choices=sorted(TYPES), default="F16", help="of the matrices (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()

    (architecture, hidden, layers, heads, kv_heads, head_dim, intermediate, vocabulary, context, theta, epsilon,
     bias) = SHAPES[arguments.shape]
    dtype, file_type = TYPES[arguments.type]
    random = np.random.default_rng(arguments.seed)
    writer = gguf.GGUFWriter(arguments.file, architecture)
    writer.add_name(f"{arguments.shape} (random)")
    writer.add_context_length(context)
    writer.add_embedding_length(hidden)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(intermediate)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(theta)
    writer.add_layer_norm_rms_eps(epsilon)
    writer.add_vocab_size(vocabulary)
    writer.add_file_type(file_type)
    copy_vocabulary(writer, arguments.vocabulary, vocabulary)

    def matrix(name, rows, columns):
        values = random.standard_normal((rows, columns), dtype=np.float32) / np.sqrt(columns)
        if dtype == gguf.GGMLQuantizationType.F16:
            writer.add_tensor(name, values.astype(np.float16))
        elif dtype == gguf.GGMLQuantizationType.BF16:
            writer.add_tensor(name, gguf.quants.quantize(values, dtype), raw_dtype=dtype)
        else:
            writer.add_tensor(name, values)

    def vector(name, size, value):
        writer.add_tensor(name, np.full(size, value, dtype=np.float32))

    matrix("token_embd.weight", vocabulary, hidden)
    for layer in range(layers):
        prefix = f"blk.{layer}."
        vector(prefix + "attn_norm.weight", hidden, 1.0)
        matrix(prefix + "attn_q.weight", heads * head_dim, hidden)
        matrix(prefix + "attn_k.weight", kv_heads * head_dim, hidden)
        matrix(prefix + "attn_v.weight", kv_heads * head_dim, hidden)
        if bias:
            vector(prefix + "attn_q.bias", heads * head_dim, 0.0)
            vector(prefix + "attn_k.bias", kv_heads * head_dim, 0.0)
            vector(prefix + "attn_v.bias", kv_heads * head_dim, 0.0)
        matrix(prefix + "attn_output.weight", hidden, heads * head_dim)
        vector(prefix + "ffn_norm.weight", hidden, 1.0)
        matrix(prefix + "ffn_gate.weight", intermediate, hidden)
        matrix(prefix + "ffn_up.weight", intermediate, hidden)
        matrix(prefix + "ffn_down.weight", hidden, intermediate)
    vector("output_norm.weight", hidden, 1.0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file(progress=True)
    writer.close()


if __name__ == "__main__":
    main()
