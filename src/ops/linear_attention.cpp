#include "ops/linear_attention.h"

#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/profile.h"
#include "base/thread_pool.h"
#include "kernels/linear_attention_table.h"
#include "ops/backward.h"
#include "ops/check.h"

namespace tessera::ops {
namespace {

using kernels::LinearAttentionArguments;

// What forward and backward share.
struct Layout {
  LinearAttentionInputs in;
  LinearAttentionParameters parameters;
  std::vector<std::int32_t> query_start;  // [N + 1]
  kernels::LinearStateShape shape;

  std::int64_t heads() const { return in.k.dim(1); }
  std::int64_t group() const { return in.q.dim(1) / in.k.dim(1); }
  std::int64_t sequences() const { return static_cast<std::int64_t>(query_start.size()) - 1; }
};

Layout checked(const LinearAttentionInputs& in, const RaggedBatch& batch,
               const LinearAttentionParameters& parameters) {
  for (const Tensor* tensor : {&in.q, &in.k, &in.v}) {
    expect_f32(*tensor, "linear_attention");
    expect_rank(*tensor, 3, "linear_attention");
  }
  const std::int64_t tokens = batch.token_count();
  expect_dim(in.q, 0, tokens, "linear_attention: q");
  expect_shape(in.k, {tokens, in.k.dim(1), in.q.dim(2)}, "linear_attention: k");
  expect_shape(in.v, {tokens, in.k.dim(1), in.v.dim(2)}, "linear_attention: v");
  if (in.k.dim(1) == 0 || in.q.dim(1) % in.k.dim(1) != 0) {
    fail(ErrorKind::internal, "linear_attention: {} query heads over {} key/value heads", in.q.dim(1),
         in.k.dim(1));
  }
  Layout layout{in, parameters, {batch.query_start.begin(), batch.query_start.end()}, {}};
  layout.shape = {.key_dim = in.k.dim(2), .value_dim = in.v.dim(2), .normalized = parameters.normalized};
  if (in.betas.defined()) expect_shape(in.betas, {tokens, in.k.dim(1)}, "linear_attention: betas");
  if (in.log_gates.defined()) {
    const bool each = in.log_gates.rank() == 3;
    expect_shape(in.log_gates, each ? in.k.shape() : Shape{tokens, in.k.dim(1)},
                 "linear_attention: log_gates");
    layout.shape.gate_dim = each ? in.k.dim(2) : 1;
    if (each && in.betas.defined()) {
      fail(ErrorKind::internal, "linear_attention: the delta rule has one gate for all channels");
    }
  }
  return layout;
}

float* floats_of(const Tensor& tensor) {
  // Kernels take inputs and outputs in one structure; inputs they only read.
  return tensor.defined() ? const_cast<float*>(tensor.as<float>().data()) : nullptr;
}

// Where the rows of sequence `n` and key/value head `head` begin in each kind of tensor.
struct Offsets {
  std::int64_t query, key, value, gate, beta, output, normalizer;
};

Offsets offsets_of(const Layout& l, std::int64_t n, std::int64_t head) {
  const std::int64_t first = l.query_start[static_cast<std::size_t>(n)];
  const std::int64_t row = first * l.heads() + head;
  const std::int64_t group_row = row * l.group();
  return {group_row * l.shape.key_dim,
          row * l.shape.key_dim,
          row * l.shape.value_dim,
          row * l.shape.gate_dim,
          row,
          group_row * l.shape.value_dim,
          group_row};
}

LinearAttentionArguments arguments_of(const Layout& l, std::int64_t n, std::int64_t head, const Tensor& y,
                                      const Tensor& normalizer) {
  const Offsets at = offsets_of(l, n, head);
  LinearAttentionArguments a;
  a.shape = l.shape;
  a.query = floats_of(l.in.q) + at.query;
  a.key = floats_of(l.in.k) + at.key;
  a.value = floats_of(l.in.v) + at.value;
  if (l.in.log_gates.defined()) a.log_gate = floats_of(l.in.log_gates) + at.gate;
  if (l.in.betas.defined()) a.beta = floats_of(l.in.betas) + at.beta;
  a.output = floats_of(y) + at.output;
  if (normalizer.defined()) a.normalizer = floats_of(normalizer) + at.normalizer;
  a.query_stride = l.heads() * l.group() * l.shape.key_dim;
  a.key_stride = l.heads() * l.shape.key_dim;
  a.value_stride = l.heads() * l.shape.value_dim;
  a.gate_stride = l.heads() * l.shape.gate_dim;
  a.beta_stride = l.heads();
  a.output_stride = l.heads() * l.group() * l.shape.value_dim;
  a.normalizer_stride = l.heads() * l.group();
  const auto index = static_cast<std::size_t>(n);
  a.tokens = l.query_start[index + 1] - l.query_start[index];
  a.group_size = l.group();
  a.scale = l.parameters.scale;
  return a;
}

// Runs `kernel(sequence, head)` for all of them.
template <typename Run>
void for_each_head(const Layout& l, const Run& run) {
  thread_pool().parallel_for(l.sequences() * l.heads(), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) run(i / l.heads(), i % l.heads());
  });
}

// A gradient that the kernel writes whole, and where it goes afterwards.
struct Gradient {
  autograd::GradientWindow window;
  Tensor values;

  Gradient(autograd::Tape& tape, const Tensor& input) {
    if (!input.defined()) return;
    if (tape.tracks(input)) window = tape.gradient_to_write(input);
    const bool in_place = window.values.defined() && !window.accumulate;
    values = in_place ? window.values : Tensor::empty(input.shape());
  }
  void settle() const {
    if (values.defined() && window.accumulate) add_gradient(window, values);
  }
};

void backward(autograd::Tape& tape, const Layout& l, const Tensor& y, const Tensor& normalizer) {
  const ProfileTimer timer("linear attention backward");
  const Tensor dy = tape.gradient(y);
  const Gradient q(tape, l.in.q), k(tape, l.in.k), v(tape, l.in.v), gates(tape, l.in.log_gates),
      betas(tape, l.in.betas);
  const auto kernel = kernels::active_linear_attention().backward;
  for_each_head(l, [&](std::int64_t n, std::int64_t head) {
    const Offsets at = offsets_of(l, n, head);
    LinearAttentionArguments a = arguments_of(l, n, head, y, normalizer);
    a.doutput = floats_of(dy) + at.output;
    a.dquery = floats_of(q.values) + at.query;
    a.dkey = floats_of(k.values) + at.key;
    a.dvalue = floats_of(v.values) + at.value;
    if (gates.values.defined()) a.dlog_gate = floats_of(gates.values) + at.gate;
    if (betas.values.defined()) a.dbeta = floats_of(betas.values) + at.beta;
    kernel(a);
  });
  for (const Gradient* gradient : {&q, &k, &v, &gates, &betas}) gradient->settle();
}

void expect_states(const Layout& l, const RaggedBatch& batch, const LinearStateLayer& states) {
  const std::int64_t needed = l.heads() * l.shape.floats();
  if (states.slot_floats != needed) {
    fail(ErrorKind::internal, "linear_attention: expected states of {} floats, found {}", needed,
         states.slot_floats);
  }
  if (static_cast<std::int64_t>(batch.state_slots.size()) != batch.sequence_count()) {
    fail(ErrorKind::internal, "linear_attention: {} state slots for {} sequences", batch.state_slots.size(),
         batch.sequence_count());
  }
  for (const std::int32_t slot : batch.state_slots) {
    if (slot < 0 || slot >= states.num_slots)
      fail(ErrorKind::internal, "linear_attention: slot {} of {}", slot, states.num_slots);
  }
}

}  // namespace

std::int64_t linear_state_floats(std::int64_t key_value_heads, std::int64_t key_dim, std::int64_t value_dim,
                                 std::int64_t gate_dim, bool normalized) {
  const kernels::LinearStateShape shape{key_dim, value_dim, gate_dim, normalized};
  return key_value_heads * shape.floats();
}

Tensor linear_attention(const LinearAttentionInputs& inputs, const RaggedBatch& batch,
                        const LinearAttentionParameters& parameters) {
  const ProfileTimer timer("linear attention");
  const Layout l = checked(inputs, batch, parameters);
  for (std::size_t n = 0; n < batch.context_length.size(); ++n) {
    const std::int32_t tokens = l.query_start[n + 1] - l.query_start[n];
    if (batch.context_length[n] == tokens) continue;
    fail(ErrorKind::internal,
         "linear_attention: sequence {} has {} tokens and a context of {}; there is no state", n, tokens,
         batch.context_length[n]);
  }
  const Tensor y = Tensor::empty({inputs.q.dim(0), inputs.q.dim(1), inputs.v.dim(2)});
  const Tensor normalizer =
      parameters.normalized ? Tensor::empty({inputs.q.dim(0), inputs.q.dim(1)}) : Tensor{};
  const auto kernel = kernels::active_linear_attention().forward;
  for_each_head(l,
                [&](std::int64_t n, std::int64_t head) { kernel(arguments_of(l, n, head, y, normalizer)); });
  if (autograd::Tape* tape =
          autograd::tape_for({&inputs.q, &inputs.k, &inputs.v, &inputs.log_gates, &inputs.betas})) {
    const auto back = [l, y, normalizer](autograd::Tape& t) { backward(t, l, y, normalizer); };
    tape->record({y}, {inputs.q, inputs.k, inputs.v, y}, back);
  }
  return y;
}

Tensor linear_attention(const LinearAttentionInputs& inputs, const RaggedBatch& batch,
                        const LinearAttentionParameters& parameters, const LinearStateLayer& states) {
  const ProfileTimer timer("linear attention");
  expect_no_gradient({&inputs.q, &inputs.k, &inputs.v, &inputs.log_gates, &inputs.betas},
                     "linear_attention on states");
  const Layout l = checked(inputs, batch, parameters);
  expect_states(l, batch, states);
  const Tensor y = Tensor::empty({inputs.q.dim(0), inputs.q.dim(1), inputs.v.dim(2)});
  const auto kernel = kernels::active_linear_attention().forward;
  for_each_head(l, [&](std::int64_t n, std::int64_t head) {
    LinearAttentionArguments a = arguments_of(l, n, head, y, {});
    const auto index = static_cast<std::size_t>(n);
    a.position = batch.positions[static_cast<std::size_t>(l.query_start[index])];
    a.state = states.states + batch.state_slots[index] * states.slot_floats + head * l.shape.floats();
    if (a.position == 0) {
      std::memset(a.state, 0, static_cast<std::size_t>(l.shape.floats()) * sizeof(float));
    }
    kernel(a);
  });
  return y;
}

}  // namespace tessera::ops
