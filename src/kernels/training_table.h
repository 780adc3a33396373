// The kernels that only training needs, as function pointers of one instruction set: matrix products in every
// orientation, gradients, the loss, and the optimizers' updates. What they compute is specified by
// kernels/ref/training.h.
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/cpu_features.h"
#include "kernels/attention_dropout.h"
#include "kernels/kernel_table.h"
#include "kernels/sparse_attention.h"

namespace tessera::kernels {

// C[i, j] = (accumulate ? C[i, j] : 0) + sum_k A[i, k] B[k, j]. One element is one chain of fused
// multiply-adds over ascending k, whatever the other rows and columns are: a matrix may be cut into blocks
// anywhere. A and B are read through two strides each, so that transposes need no copy; one of each pair
// should be 1.
struct GemmArguments {
  const float* a = nullptr;  // [rows, depth]
  std::int64_t a_row_stride = 0;
  std::int64_t a_depth_stride = 0;
  const float* b = nullptr;  // [depth, columns]
  std::int64_t b_depth_stride = 0;
  std::int64_t b_column_stride = 0;
  float* c = nullptr;  // [rows, columns]
  std::int64_t c_stride = 0;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t depth = 0;
  bool accumulate = false;
};
using GemmKernel = void (*)(const GemmArguments&);

// In what A and B are multiplied; sums are float32 always. bf16: both are rounded to bf16 (nearest even) and
// the products of neighbouring k are added in pairs.
enum class GemmPrecision : std::uint8_t { f32, bf16 };
inline constexpr std::size_t kGemmPrecisionCount = 2;

// The same product in two steps for large matrices: B is packed once, by all threads, then each multiplies
// its rows of A by it. A panel holds `panel_columns` columns, each `depth` values, rounded up to two.
struct PanelGemm {
  std::int64_t panel_columns = 0;  // 0: there is no such form
  // Rows [depth_begin, depth_end) of all of B, depth_begin even, to their places in `panels`.
  void (*pack)(const GemmArguments&, std::int64_t depth_begin, std::int64_t depth_end,
               float* panels) = nullptr;
  void (*multiply)(const GemmArguments&, const float* panels) = nullptr;

  // Floats that the panels of a B take.
  std::int64_t floats(std::int64_t depth, std::int64_t columns) const {
    return (depth + 1) / 2 * ((columns + panel_columns - 1) / panel_columns * panel_columns);
  }
};

// dx (+)= dy f'(x).
using ActivationGradientKernel = void (*)(const float* x, const float* dy, float* dx, std::int64_t count,
                                          bool accumulate);
// Of y = f(gate) up: dgate = dy up f'(gate), dup = dy f(gate). Written, not added.
using GatedActivationGradientKernel = void (*)(const float* gate, const float* up, const float* dy,
                                               float* dgate, float* dup, std::int64_t count);

// Of the norms, `rows` rows of `count`: dx (+)= the input's gradient, dweight += and dbias += the sums over
// the rows, in ascending order. dweight and dbias may be null.
struct NormGradientArguments {
  const float* x = nullptr;
  const float* weight = nullptr;
  const float* dy = nullptr;
  float* dx = nullptr;  // may be null
  float* dweight = nullptr;
  float* dbias = nullptr;  // layer_norm alone
  std::int64_t rows = 0;
  std::int64_t count = 0;
  float epsilon = 0.0F;
  float weight_offset = 0.0F;  // rms_norm alone
  bool accumulate = false;
};
using NormGradientKernel = void (*)(const NormGradientArguments&);

// x: y of softcap after the call that made it; dy becomes dx = dy (1 - (y / cap)^2).
using SoftcapGradientKernel = void (*)(const float* y, float* dy, float cap, std::int64_t count);

// One row of logits with its target: returns the loss
//   (1 - smoothing) (lse - x[target]) + smoothing (lse - mean(x)),  lse = log sum exp(x),
// and, when gradient_scale is not 0, replaces the row by gradient_scale times the loss's gradient. A cap
// above 0 says that the logits were capped by cap tanh(x / cap); the gradient is that of the uncapped ones.
using CrossEntropyKernel = float (*)(float* logits, std::int64_t count, std::int64_t target, float smoothing,
                                     float cap, float gradient_scale);

// Causal softmax attention of the H / K query heads that share one key/value head, over one sequence's own
// tokens. Nothing of size T x T is kept: the backward computes the scores again from the rows' log sums
// (Dao et al. 2022). Row t of head g is at p + t * stride + g * head_dim.
struct FlashAttentionArguments {
  const float* query = nullptr;
  const float* key = nullptr;
  const float* value = nullptr;
  float* output = nullptr;
  float* log_sums = nullptr;          // log sum exp of each row's scores: [t * log_sum_stride + g]
  std::int64_t query_stride = 0;      // of query, output and their gradients
  std::int64_t key_value_stride = 0;  // of key, value and their gradients
  std::int64_t log_sum_stride = 0;
  std::int64_t tokens = 0;      // T of the sequence
  std::int64_t group_size = 0;  // H / K
  std::int64_t head_dim = 0;    // D
  float scale = 1.0F;
  std::int64_t sliding_window = 0;  // 0: all
  float logit_softcap = 0.0F;       // 0: none
  AttentionDropout dropout = {};    // row t of head g is first_row + t * log_sum_stride + g
  // The forward alone: rows [row_begin, row_end) of head `head`.
  std::int64_t head = 0;
  std::int64_t row_begin = 0;
  std::int64_t row_end = 0;
  // The backward alone: all are written, dquery for every head of the group.
  const float* doutput = nullptr;
  float* dquery = nullptr;
  float* dkey = nullptr;
  float* dvalue = nullptr;
};
using FlashAttentionKernel = void (*)(const FlashAttentionArguments&);

// Decoupled weight decay (Loshchilov & Hutter 2019), bias-corrected; gradients are multiplied by
// gradient_scale first:
//   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
//   p = p (1 - lr decay) - lr correction1 m / (sqrt(v) correction2 + epsilon)
struct AdamWArguments {
  float* parameter = nullptr;
  const float* gradient = nullptr;
  float* first_moment = nullptr;
  float* second_moment = nullptr;
  std::int64_t count = 0;
  float learning_rate = 0.0F;
  float beta1 = 0.9F;
  float beta2 = 0.999F;
  float epsilon = 1e-8F;
  float weight_decay = 0.0F;
  float correction1 = 1.0F;  // 1 / (1 - beta1^step)
  float correction2 = 1.0F;  // 1 / sqrt(1 - beta2^step)
  float gradient_scale = 1.0F;
};
using AdamWKernel = void (*)(const AdamWArguments&);

// Sum of squares of a range, kept in double from vector to vector's end.
using SumOfSquaresKernel = double (*)(const float* x, std::int64_t count);
// total[i] += row[i].
using AddToKernel = void (*)(float* total, const float* row, std::int64_t count);

struct TrainingTable {
  Isa isa = Isa::scalar;
  GemmKernel gemm[kGemmPrecisionCount] = {};
  PanelGemm panel_gemm_bf16;
  ActivationGradientKernel activation_gradient[kActivationCount] = {};
  GatedActivationGradientKernel gated_activation_gradient[kActivationCount] = {};
  NormGradientKernel rms_norm_gradient = nullptr;
  NormGradientKernel layer_norm_gradient = nullptr;
  SoftcapGradientKernel softcap_gradient = nullptr;
  CrossEntropyKernel cross_entropy = nullptr;
  FlashAttentionKernel flash_attention = nullptr;
  FlashAttentionKernel flash_attention_gradient = nullptr;
  // The same with all products in bf16 (sums and exponentials in float32): for head_dim a multiple of 16,
  // no cap and no dropout. Null where this CPU has no such products.
  FlashAttentionKernel flash_attention_bf16 = nullptr;
  FlashAttentionKernel flash_attention_gradient_bf16 = nullptr;
  AdamWKernel adamw = nullptr;
  SumOfSquaresKernel sum_of_squares = nullptr;
  AddToKernel add_to = nullptr;
  SparseAttentionKernel sparse_attention = nullptr;
  SparseAttentionKernel sparse_attention_gradient = nullptr;
};

// The table of one ISA. Error bad_usage when this CPU lacks it.
const TrainingTable& training_table(Isa isa);
// The table in use: selected_isa() at first use.
const TrainingTable& active_training();

}  // namespace tessera::kernels
