// The scalar specification of every kernel: the equation, its source, and nothing clever. The fast forms are
// tested against these, and they are the fallback where no fast form exists. Sums are kept in double, so that
// the rounding of the specification is negligible beside that of what is compared with it.
#pragma once
#include "kernels/kernel_table.h"

namespace tessera::kernels::ref {

// ref/dequantize.cpp and ref/dequantize_k_quants.cpp: source holds whole blocks.
void dequantize_f32(const std::byte* source, float* target, std::int64_t count);
void dequantize_f16(const std::byte* source, float* target, std::int64_t count);
void dequantize_bf16(const std::byte* source, float* target, std::int64_t count);
void dequantize_q4_0(const std::byte* source, float* target, std::int64_t count);
void dequantize_q4_1(const std::byte* source, float* target, std::int64_t count);
void dequantize_q5_0(const std::byte* source, float* target, std::int64_t count);
void dequantize_q5_1(const std::byte* source, float* target, std::int64_t count);
void dequantize_q8_0(const std::byte* source, float* target, std::int64_t count);
void dequantize_iq4_nl(const std::byte* source, float* target, std::int64_t count);
void dequantize_q2_k(const std::byte* source, float* target, std::int64_t count);
void dequantize_q3_k(const std::byte* source, float* target, std::int64_t count);
void dequantize_q4_k(const std::byte* source, float* target, std::int64_t count);
void dequantize_q5_k(const std::byte* source, float* target, std::int64_t count);
void dequantize_q6_k(const std::byte* source, float* target, std::int64_t count);

// ref/packed_words.cpp: a block of 32 f16 or bf16 weights of one row as words (kernels/packed_layout.h), with
// the scale 2^e; and rows of inputs.
void weights_to_words(const float* block, std::int16_t* words, float* scale);
void quantize_words(const float* x, std::byte* target, std::int64_t count);

void narrow_f32(const float* source, std::byte* target, std::int64_t count);
void narrow_f16(const float* source, std::byte* target, std::int64_t count);
void narrow_bf16(const float* source, std::byte* target, std::int64_t count);

// ref/quantize.cpp and ref/quantize_k_quants.cpp: count is whole blocks.
void quantize_q4_0(const float* source, std::byte* target, std::int64_t count);
void quantize_q4_1(const float* source, std::byte* target, std::int64_t count);
void quantize_q5_0(const float* source, std::byte* target, std::int64_t count);
void quantize_q5_1(const float* source, std::byte* target, std::int64_t count);
void quantize_q8_0(const float* source, std::byte* target, std::int64_t count);
void quantize_q4_k(const float* source, std::byte* target, std::int64_t count);
void quantize_q5_k(const float* source, std::byte* target, std::int64_t count);
void quantize_q6_k(const float* source, std::byte* target, std::int64_t count);

void rms_norm(const float* x, const float* weight, float* y, std::int64_t count, float epsilon,
              float weight_offset);
void layer_norm(const float* x, const float* weight, const float* bias, float* y, std::int64_t count,
                float epsilon);
void rotary_half(float* x, const float* cosines, const float* sines, std::int64_t pairs);
void rotary_interleaved(float* x, const float* cosines, const float* sines, std::int64_t pairs);
void add(const float* a, const float* b, float* y, std::int64_t count);
void scale(float* x, float factor, std::int64_t count);
void softcap(float* x, float cap, std::int64_t count);
void softmax(float* x, std::int64_t count);
void attention(const AttentionArguments& arguments);
std::uint64_t read(const std::byte* data, std::size_t bytes);
float multiply_add(std::int64_t rounds);

// The linear kernels by weight dtype, and the activations by kind.
void fill_linear(KernelTable& table);
void fill_packed(KernelTable& table);  // weights in panels, and the inputs quantised for them
void fill_packed_floats(KernelTable& table);
void fill_quantize(KernelTable& table);  // plain types included
void fill_activations(KernelTable& table);
void fill_key_values(KernelTable& table);  // storing them in the paged cache

// All of the above as Isa::scalar; every other ISA starts from it and replaces what it has faster.
KernelTable make_table();

}  // namespace tessera::kernels::ref
