#include "ops/flash_attention.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/profile.h"
#include "base/thread_pool.h"
#include "kernels/training_table.h"
#include "ops/attention_check.h"
#include "ops/backward.h"
#include "ops/dropout.h"
#include "ops/matrix_product.h"

namespace tessera::ops {
namespace {

constexpr std::int64_t kTileRows = 64;  // where the kernels' tiles of queries begin

struct Inputs {
  Tensor q, k, v;
  std::vector<std::int32_t> query_start;  // [N + 1]
  AttentionParameters parameters;
  kernels::AttentionDropout dropout = {};

  std::int64_t heads() const { return q.dim(1); }
  std::int64_t key_value_heads() const { return k.dim(1); }
  std::int64_t group() const { return heads() / key_value_heads(); }
  std::int64_t sequences() const { return static_cast<std::int64_t>(query_start.size()) - 1; }
};

Inputs checked(const Tensor& q, const Tensor& k, const Tensor& v, const RaggedBatch& batch,
               const AttentionParameters& parameters) {
  expect_attention_inputs(q, k, v, batch, "attention");
  return {q, k, v, {batch.query_start.begin(), batch.query_start.end()}, parameters};
}

kernels::AttentionDropout next_attention_dropout() {
  const DropoutMask mask = next_dropout_mask();
  if (mask.probability == 0.0) return {};
  return {.key = mask.key,
          .threshold = static_cast<std::uint32_t>(mask.probability * 2147483648.0),
          .scale = mask.scale()};
}

// The heads of sequence `n` that share key/value head `head`; outputs and gradients are added by the callers.
kernels::FlashAttentionArguments arguments_of(const Inputs& in, std::int64_t n, std::int64_t head) {
  const std::int64_t first = in.query_start[static_cast<std::size_t>(n)];
  const std::int64_t head_dim = in.q.dim(2);
  const std::int64_t key_value_at = (first * in.key_value_heads() + head) * head_dim;
  kernels::AttentionDropout dropout = in.dropout;
  dropout.first_row = first * in.heads() + head * in.group();
  return {.query = in.q.as<float>().data() + (first * in.heads() + head * in.group()) * head_dim,
          .key = in.k.as<float>().data() + key_value_at,
          .value = in.v.as<float>().data() + key_value_at,
          .query_stride = in.heads() * head_dim,
          .key_value_stride = in.key_value_heads() * head_dim,
          .log_sum_stride = in.heads(),
          .tokens = in.query_start[static_cast<std::size_t>(n) + 1] - first,
          .group_size = in.group(),
          .head_dim = head_dim,
          .scale = in.parameters.scale,
          .sliding_window = in.parameters.sliding_window,
          .logit_softcap = in.parameters.logit_softcap,
          .dropout = dropout};
}

// One tile of rows of one head.
struct Unit {
  std::int64_t sequence;
  std::int64_t head;
  std::int64_t row;
};

// Tiles of a sequence alternately from its ends, so that any run of units has about the same share of work.
std::vector<Unit> units_of(const Inputs& in) {
  std::vector<Unit> units;
  for (std::int64_t n = 0; n < in.sequences(); ++n) {
    const auto at = static_cast<std::size_t>(n);
    const std::int64_t tiles = (in.query_start[at + 1] - in.query_start[at] + kTileRows - 1) / kTileRows;
    for (std::int64_t head = 0; head < in.heads(); ++head) {
      for (std::int64_t i = 0; i < tiles; ++i) {
        units.push_back({n, head, (i % 2 == 0 ? i / 2 : tiles - 1 - i / 2) * kTileRows});
      }
    }
  }
  return units;
}

struct Kernels {
  kernels::FlashAttentionKernel forward;
  kernels::FlashAttentionKernel backward;
};

// Of the precision in use, where there are such for these sizes.
Kernels kernels_for(const Inputs& in) {
  constexpr std::int64_t kVector = 16;
  const kernels::TrainingTable& table = kernels::active_training();
  const bool rounded = matmul_precision() == MatmulPrecision::bf16 && table.flash_attention_bf16 != nullptr &&
                       in.q.dim(2) % kVector == 0 && in.parameters.logit_softcap == 0.0F &&
                       in.dropout.threshold == 0;
  if (rounded) return {table.flash_attention_bf16, table.flash_attention_gradient_bf16};
  return {table.flash_attention, table.flash_attention_gradient};
}

void forward(const Inputs& in, Tensor& y, Tensor& log_sums, kernels::FlashAttentionKernel kernel) {
  const ProfileTimer timer("flash_attention");
  const std::vector<Unit> units = units_of(in);
  float* output = y.as_mutable<float>().data();
  float* sums = log_sums.as_mutable<float>().data();
  const auto run = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const Unit& unit = units[static_cast<std::size_t>(i)];
      const std::int64_t first = in.query_start[static_cast<std::size_t>(unit.sequence)];
      const std::int64_t group_head = unit.head / in.group() * in.group();
      kernels::FlashAttentionArguments a = arguments_of(in, unit.sequence, unit.head / in.group());
      a.output = output + (first * in.heads() + group_head) * a.head_dim;
      a.log_sums = sums + first * in.heads() + group_head;
      a.head = unit.head - group_head;
      a.row_begin = unit.row;
      a.row_end = std::min(a.tokens, unit.row + kTileRows);
      kernel(a);
    }
  };
  thread_pool().parallel_for(static_cast<std::int64_t>(units.size()), 1, run);
}

// Memory for a gradient that is written whole; settled afterwards.
Tensor place_for(autograd::Tape& tape, const Tensor& input, autograd::GradientWindow& window) {
  if (tape.tracks(input)) window = tape.gradient_to_write(input);
  return window.values.defined() && !window.accumulate ? window.values : Tensor::empty(input.shape());
}

void backward(autograd::Tape& tape, const Inputs& in, const Tensor& y, const Tensor& log_sums,
              kernels::FlashAttentionKernel kernel) {
  const ProfileTimer timer("attention backward");
  const Tensor dy = tape.gradient(y);
  autograd::GradientWindow windows[3];
  Tensor dq = place_for(tape, in.q, windows[0]);
  Tensor dk = place_for(tape, in.k, windows[1]);
  Tensor dv = place_for(tape, in.v, windows[2]);
  float* query_gradient = dq.as_mutable<float>().data();
  float* key_gradient = dk.as_mutable<float>().data();
  float* value_gradient = dv.as_mutable<float>().data();
  const std::int64_t heads = in.key_value_heads();
  thread_pool().parallel_for(in.sequences() * heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      kernels::FlashAttentionArguments a = arguments_of(in, i / heads, i % heads);
      const std::int64_t at = a.query - in.q.as<float>().data();
      const std::int64_t key_value_at = a.key - in.k.as<float>().data();
      a.output = const_cast<float*>(y.as<float>().data()) + at;                        // only read
      a.log_sums = const_cast<float*>(log_sums.as<float>().data()) + at / a.head_dim;  // only read
      a.doutput = dy.as<float>().data() + at;
      a.dquery = query_gradient + at;
      a.dkey = key_gradient + key_value_at;
      a.dvalue = value_gradient + key_value_at;
      kernel(a);
    }
  });
  if (windows[0].accumulate) add_gradient(windows[0], dq);
  if (windows[1].accumulate) add_gradient(windows[1], dk);
  if (windows[2].accumulate) add_gradient(windows[2], dv);
}

void record(autograd::Tape& tape, const Inputs& in, const Tensor& y, const Tensor& log_sums,
            kernels::FlashAttentionKernel kernel) {
  tape.record({y}, {in.q, in.k, in.v, y},
              [in, y, log_sums, kernel](autograd::Tape& t) { backward(t, in, y, log_sums, kernel); });
}

}  // namespace

Tensor flash_attention(const Tensor& q, const Tensor& k, const Tensor& v, const RaggedBatch& batch,
                       const AttentionParameters& parameters) {
  Inputs in = checked(q, k, v, batch, parameters);
  in.dropout = next_attention_dropout();
  Tensor y = Tensor::empty(q.shape());
  Tensor log_sums = Tensor::empty({q.dim(0), q.dim(1)});
  const Kernels kernel = kernels_for(in);
  forward(in, y, log_sums, kernel.forward);
  if (autograd::Tape* tape = autograd::tape_for({&q, &k, &v})) {
    record(*tape, in, y, log_sums, kernel.backward);
  }
  return y;
}

void record_dense_attention(autograd::Tape& tape, const Tensor& q, const Tensor& k, const Tensor& v,
                            const Tensor& y, const RaggedBatch& batch,
                            const AttentionParameters& parameters) {
  const Inputs in = checked(q, k, v, batch, parameters);
  const Tensor log_sums = Tensor::zeros({q.dim(0), q.dim(1)});  // the definition needs none
  record(tape, in, y, log_sums, kernels::training_table(Isa::scalar).flash_attention_gradient);
}

}  // namespace tessera::ops
