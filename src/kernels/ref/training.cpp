// The scalar table of training kernels.
#include "kernels/ref/training.h"

#include "base/float16.h"
#include "kernels/ref/sparse_attention.h"

namespace tessera::kernels::ref {
namespace {

template <GemmPrecision kPrecision>
void gemm(const GemmArguments& g) {
  const auto rounded = [](float value) {
    return double{kPrecision == GemmPrecision::bf16 ? bf16_to_f32(f32_to_bf16(value)) : value};
  };
  for (std::int64_t i = 0; i < g.rows; ++i) {
    for (std::int64_t j = 0; j < g.columns; ++j) {
      double sum = g.accumulate ? double{g.c[i * g.c_stride + j]} : 0.0;
      for (std::int64_t k = 0; k < g.depth; ++k) {
        sum += rounded(g.a[i * g.a_row_stride + k * g.a_depth_stride]) *
               rounded(g.b[k * g.b_depth_stride + j * g.b_column_stride]);
      }
      g.c[i * g.c_stride + j] = static_cast<float>(sum);
    }
  }
}

template <ActivationKind kKind>
void activation_gradient_row(const float* x, const float* dy, float* dx, std::int64_t count,
                             bool accumulate) {
  for (std::int64_t i = 0; i < count; ++i) {
    dx[i] = (accumulate ? dx[i] : 0.0F) + dy[i] * activation_derivative(kKind, x[i]);
  }
}

template <ActivationKind kKind>
void gated_gradient(const float* gate, const float* up, const float* dy, float* dgate, float* dup,
                    std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float value = activation(kKind, gate[i]);
    dgate[i] = dy[i] * up[i] * activation_derivative(kKind, gate[i]);
    dup[i] = dy[i] * value;
  }
}

void rms_norm_rows(const NormGradientArguments& a) {
  for (std::int64_t row = 0; row < a.rows; ++row) {
    const std::int64_t at = row * a.count;
    rms_norm_gradient<float>(a.x + at, a.weight, a.dy + at, a.dx != nullptr ? a.dx + at : nullptr, a.dweight,
                             a.count, double{a.epsilon}, double{a.weight_offset}, a.accumulate);
  }
}

void layer_norm_rows(const NormGradientArguments& a) {
  for (std::int64_t row = 0; row < a.rows; ++row) {
    const std::int64_t at = row * a.count;
    layer_norm_gradient<float>(a.x + at, a.weight, a.dy + at, a.dx != nullptr ? a.dx + at : nullptr,
                               a.dweight, a.dbias, a.count, double{a.epsilon}, a.accumulate);
  }
}

// d (cap tanh(x / cap)) / dx = 1 - tanh^2
void softcap_gradient(const float* y, float* dy, float cap, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const double t = double{y[i]} / double{cap};
    dy[i] = static_cast<float>(double{dy[i]} * (1.0 - t * t));
  }
}

float cross_entropy_row(float* logits, std::int64_t count, std::int64_t target, float smoothing, float cap,
                        float gradient_scale) {
  return cross_entropy<float>(logits, count, target, double{smoothing}, double{cap}, double{gradient_scale});
}

AttentionHead<float> head_of(const FlashAttentionArguments& a, std::int64_t head) {
  return {.query = a.query + head * a.head_dim,
          .key = a.key,
          .value = a.value,
          .stride = a.query_stride,
          .kv_stride = a.key_value_stride,
          .tokens = a.tokens,
          .head_dim = a.head_dim,
          .scale = double{a.scale},
          .sliding_window = a.sliding_window,
          .softcap = double{a.logit_softcap},
          .dropout = a.dropout,
          .row_stride = a.log_sum_stride,
          .row_offset = head};
}

void flash_attention(const FlashAttentionArguments& a) {
  attention_rows(head_of(a, a.head), a.row_begin, a.row_end, a.output + a.head * a.head_dim,
                 a.log_sums + a.head, a.log_sum_stride);
}

void flash_attention_gradient(const FlashAttentionArguments& a) {
  for (std::int64_t s = 0; s < a.tokens; ++s) {
    std::fill_n(a.dkey + s * a.key_value_stride, a.head_dim, 0.0F);
    std::fill_n(a.dvalue + s * a.key_value_stride, a.head_dim, 0.0F);
  }
  for (std::int64_t g = 0; g < a.group_size; ++g) {
    const std::int64_t at = g * a.head_dim;
    attention_gradient(head_of(a, g), a.output + at, a.doutput + at, a.dquery + at, a.dkey, a.dvalue);
  }
}

// Loshchilov & Hutter 2019, algorithm 2
void adamw(const AdamWArguments& a) {
  for (std::int64_t i = 0; i < a.count; ++i) {
    const double g = double{a.gradient[i]} * double{a.gradient_scale};
    const double m = double{a.beta1} * double{a.first_moment[i]} + (1.0 - double{a.beta1}) * g;
    const double v = double{a.beta2} * double{a.second_moment[i]} + (1.0 - double{a.beta2}) * g * g;
    const double lr{a.learning_rate};
    const double step =
        lr * double{a.correction1} * m / (std::sqrt(v) * double{a.correction2} + double{a.epsilon});
    a.parameter[i] = static_cast<float>(double{a.parameter[i]} * (1.0 - lr * double{a.weight_decay}) - step);
    a.first_moment[i] = static_cast<float>(m);
    a.second_moment[i] = static_cast<float>(v);
  }
}

double sum_of_squares(const float* x, std::int64_t count) {
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += double{x[i]} * double{x[i]};
  return sum;
}

void add_to(float* total, const float* row, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) total[i] += row[i];
}

template <ActivationKind kKind>
void set_activation(TrainingTable& table) {
  table.activation_gradient[static_cast<std::size_t>(kKind)] = activation_gradient_row<kKind>;
  table.gated_activation_gradient[static_cast<std::size_t>(kKind)] = gated_gradient<kKind>;
}

}  // namespace

TrainingTable make_training_table() {
  TrainingTable table;
  table.isa = Isa::scalar;
  table.gemm[static_cast<std::size_t>(GemmPrecision::f32)] = gemm<GemmPrecision::f32>;
  table.gemm[static_cast<std::size_t>(GemmPrecision::bf16)] = gemm<GemmPrecision::bf16>;
  set_activation<ActivationKind::silu>(table);
  set_activation<ActivationKind::gelu>(table);
  set_activation<ActivationKind::gelu_tanh>(table);
  set_activation<ActivationKind::relu>(table);
  table.rms_norm_gradient = rms_norm_rows;
  table.layer_norm_gradient = layer_norm_rows;
  table.softcap_gradient = softcap_gradient;
  table.cross_entropy = cross_entropy_row;
  table.flash_attention = flash_attention;
  table.flash_attention_gradient = flash_attention_gradient;
  table.sparse_attention = sparse_attention;
  table.sparse_attention_gradient = sparse_attention_gradient;
  table.adamw = adamw;
  table.sum_of_squares = sum_of_squares;
  table.add_to = add_to;
  return table;
}

}  // namespace tessera::kernels::ref
