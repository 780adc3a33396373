// The linear kinds of attention in chunks: O(T kLinearChunk D + T D^2) for T tokens. Included by the
// translation units of one ISA after its vector header.
//
// With S the state at the chunk's border and G the running sums of log gates within the chunk,
//   o_t = scale (q_t e^{G_t}) S + sum over j <= t of scale (q_t . k_j e^{G_t - G_j}) u_j,
// where u_j is what token j wrote: v_j, or by the delta rule beta_j (v_j - what its key recalled). No
// exponent is ever above 0. A row's bits depend on the chunk's tokens up to it and on S alone.
#pragma once
#include <cstring>

#include "kernels/cpu/scratch.h"
#include "kernels/cpu/small_products.h"

namespace tessera::kernels::TESSERA_ISA {

// A head's state, and the chunk's tokens so far.
struct LinearState {
  float* matrix;  // S [key_width, value_width]
  float* keys;    // [kLinearChunk, key_width]
  float* writes;  // u [kLinearChunk, value_width]
  float* sums;    // G [kLinearChunk, gate_width]
};

static LinearState linear_state(const LinearStateShape& shape, float* memory) {
  float* keys = memory + shape.matrix_floats();
  float* writes = keys + kLinearChunk * shape.key_width();
  return {memory, keys, writes, writes + kLinearChunk * shape.value_width()};
}

// Tokens [token, token + count) of the call, which are rows [row, row + count) of their chunk.
struct ChunkRows {
  std::int64_t token;
  std::int64_t row;
  std::int64_t count;
};

TESSERA_INLINE ChunkRows next_rows(std::int64_t position, std::int64_t token, std::int64_t tokens) {
  const std::int64_t row = (position + token) % kLinearChunk;
  const std::int64_t room = kLinearChunk - row;
  return {token, row, tokens - token < room ? tokens - token : room};
}

static void copy_padded(const float* from, std::int64_t count, float* to, std::int64_t width) {
  std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(float));
  std::memset(to + count, 0, static_cast<std::size_t>(width - count) * sizeof(float));
}

// to = factor x e^{sum}; `sum` as LinearStateShape::gate_dim says.
static void decay_row(const LinearStateShape& shape, float factor, const float* x, const float* sum,
                      float* to) {
  const float scalar = shape.gate_dim == 1 ? factor * __builtin_expf(sum[0]) : factor;
  const Float f = broadcast(scalar);
  for (std::int64_t i = 0; i < shape.key_width(); i += kLanes) {
    const Float scaled = multiply(f, load(x + i));
    store(to + i, shape.gate_dim > 1 ? multiply(scaled, exponential(load(sum + i))) : scaled);
  }
}

// to = x e^{later - earlier}
static void decay_between(const LinearStateShape& shape, const float* x, const float* later,
                          const float* earlier, float* to) {
  const Float shared = broadcast(shape.gate_dim == 1 ? __builtin_expf(later[0] - earlier[0]) : 1.0F);
  for (std::int64_t i = 0; i < shape.key_width(); i += kLanes) {
    const Float decay =
        shape.gate_dim > 1 ? exponential(subtract(load(later + i), load(earlier + i))) : shared;
    store(to + i, multiply(load(x + i), decay));
  }
}

// x . y e^{later - earlier}
static float decayed_dot(const LinearStateShape& shape, const float* x, const float* y, const float* later,
                         const float* earlier) {
  const std::int64_t width = shape.key_width();
  if (shape.gate_dim <= 1) {
    const float product = dot_rows(x, y, width);
    return shape.gate_dim == 0 ? product : product * __builtin_expf(later[0] - earlier[0]);
  }
  Float sums = zero();
  for (std::int64_t i = 0; i < width; i += kLanes) {
    const Float decay = exponential(subtract(load(later + i), load(earlier + i)));
    sums = multiply_add(multiply(load(x + i), load(y + i)), decay, sums);
  }
  return sum_lanes(sums);
}

// Keys and gates of the rows join the chunk.
static void take_keys(const LinearAttentionArguments& a, const LinearState& s, const ChunkRows& rows) {
  const LinearStateShape& shape = a.shape;
  for (std::int64_t i = 0; i < rows.count; ++i) {
    const std::int64_t row = rows.row + i;
    copy_padded(a.key + (rows.token + i) * a.key_stride, shape.key_dim, s.keys + row * shape.key_width(),
                shape.key_width());
    if (shape.gate_dim == 0) continue;
    float* sum = s.sums + row * shape.gate_width();
    copy_padded(a.log_gate + (rows.token + i) * a.gate_stride, shape.gate_dim, sum, shape.gate_width());
    if (row > 0) {
      for (std::int64_t d = 0; d < shape.gate_dim; ++d) sum[d] += sum[d - shape.gate_width()];
    }
  }
}

// u_t = beta_t w_t, w_t = v_t - e^{G_t} S^T k_t - sum over j < t of (k_t . k_j e^{G_t - G_j}) u_j.
// recalled [count, value_width] becomes S^T k_t of each row; misses, where given, w_t.
static void solve_writes(const LinearAttentionArguments& a, const LinearState& s, const ChunkRows& rows,
                         float* recalled, float* misses) {
  const LinearStateShape& shape = a.shape;
  const std::int64_t kw = shape.key_width();
  const std::int64_t vw = shape.value_width();
  small_product({.a = s.keys + rows.row * kw,
                 .a_row_stride = kw,
                 .a_depth_stride = 1,
                 .b = s.matrix,
                 .b_stride = vw,
                 .c = recalled,
                 .c_stride = vw,
                 .rows = rows.count,
                 .columns = vw,
                 .depth = kw});
  for (std::int64_t i = 0; i < rows.count; ++i) {
    const std::int64_t row = rows.row + i;
    const float* sum = s.sums + row * shape.gate_width();
    float* write = s.writes + row * vw;
    copy_padded(a.value + (rows.token + i) * a.value_stride, shape.value_dim, write, vw);
    add_row(shape.gate_dim == 0 ? -1.0F : -__builtin_expf(sum[0]), recalled + i * vw, write, vw);
    for (std::int64_t j = 0; j < row; ++j) {
      const float overlap =
          decayed_dot(shape, s.keys + row * kw, s.keys + j * kw, sum, s.sums + j * shape.gate_width());
      add_row(-overlap, s.writes + j * vw, write, vw);
    }
    if (misses != nullptr) std::memcpy(misses + i * vw, write, static_cast<std::size_t>(vw) * sizeof(float));
    const Float beta = broadcast(a.beta[(rows.token + i) * a.beta_stride]);
    for (std::int64_t e = 0; e < vw; e += kLanes) store(write + e, multiply(beta, load(write + e)));
  }
}

static void take_values(const LinearAttentionArguments& a, const LinearState& s, const ChunkRows& rows,
                        float* recalled, float* misses) {
  if (a.beta != nullptr) return solve_writes(a, s, rows, recalled, misses);
  const std::int64_t vw = a.shape.value_width();
  for (std::int64_t i = 0; i < rows.count; ++i) {
    float* write = s.writes + (rows.row + i) * vw;
    copy_padded(a.value + (rows.token + i) * a.value_stride, a.shape.value_dim, write, vw);
    if (a.shape.normalized) write[a.shape.value_dim] = 1.0F;  // this column sums the features
  }
}

// S = e^{G_end} S + sum over the chunk's `count` tokens of (k_j e^{G_end - G_j}) u_j^T. decayed_keys [count,
// key_width] is working memory.
static void advance_state(const LinearStateShape& shape, const LinearState& s, std::int64_t count,
                          float* decayed_keys) {
  const std::int64_t kw = shape.key_width();
  const std::int64_t vw = shape.value_width();
  const float* last = s.sums + (count - 1) * shape.gate_width();
  for (std::int64_t j = 0; j < count; ++j) {
    decay_between(shape, s.keys + j * kw, last, s.sums + j * shape.gate_width(), decayed_keys + j * kw);
  }
  for (std::int64_t d = 0; d < kw && shape.gate_dim > 0; ++d) {
    const Float kept = broadcast(__builtin_expf(last[shape.gate_dim == 1 ? 0 : d]));
    float* row = s.matrix + d * vw;
    for (std::int64_t e = 0; e < vw; e += kLanes) store(row + e, multiply(kept, load(row + e)));
  }
  small_product({.a = decayed_keys,
                 .a_row_stride = 1,
                 .a_depth_stride = kw,
                 .b = s.writes,
                 .b_stride = vw,
                 .c = s.matrix,
                 .c_stride = vw,
                 .rows = kw,
                 .columns = vw,
                 .depth = count,
                 .accumulate = true});
}

// The outputs of head `head` of the group. queries [count, key_width] and sums [count, value_width] are
// working memory.
static void attend_rows(const LinearAttentionArguments& a, const LinearState& s, const ChunkRows& rows,
                        std::int64_t head, float* queries, float* raw) {
  const LinearStateShape& shape = a.shape;
  const std::int64_t kw = shape.key_width();
  const std::int64_t vw = shape.value_width();
  float* decayed = queries + kLinearChunk * kw;
  for (std::int64_t i = 0; i < rows.count; ++i) {
    copy_padded(a.query + (rows.token + i) * a.query_stride + head * shape.key_dim, shape.key_dim,
                queries + i * kw, kw);
    decay_row(shape, a.scale, queries + i * kw, s.sums + (rows.row + i) * shape.gate_width(),
              decayed + i * kw);
  }
  small_product({.a = decayed,
                 .a_row_stride = kw,
                 .a_depth_stride = 1,
                 .b = s.matrix,
                 .b_stride = vw,
                 .c = raw,
                 .c_stride = vw,
                 .rows = rows.count,
                 .columns = vw,
                 .depth = kw});
  for (std::int64_t i = 0; i < rows.count; ++i) {
    const std::int64_t row = rows.row + i;
    float* result = raw + i * vw;
    for (std::int64_t j = 0; j <= row; ++j) {
      const float score = decayed_dot(shape, queries + i * kw, s.keys + j * kw,
                                      s.sums + row * shape.gate_width(), s.sums + j * shape.gate_width());
      add_row(a.scale * score, s.writes + j * vw, result, vw);
    }
    float* output = a.output + (rows.token + i) * a.output_stride + head * shape.value_dim;
    if (!shape.normalized) {
      std::memcpy(output, result, static_cast<std::size_t>(shape.value_dim) * sizeof(float));
      continue;
    }
    const float divisor = result[shape.value_dim] + kLinearEpsilon;
    if (a.normalizer != nullptr) a.normalizer[(rows.token + i) * a.normalizer_stride + head] = divisor;
    for (std::int64_t e = 0; e < shape.value_dim; ++e) output[e] = result[e] / divisor;
  }
}

void linear_attention(const LinearAttentionArguments& a) {
  const LinearStateShape& shape = a.shape;
  const std::int64_t keys_floats = kLinearChunk * shape.key_width();
  const std::int64_t values_floats = kLinearChunk * shape.value_width();
  float* queries = thread_scratch(2 * keys_floats + values_floats + shape.floats());
  float* raw = queries + 2 * keys_floats;
  float* own_state = raw + values_floats;
  if (a.state == nullptr) {
    std::memset(own_state, 0, static_cast<std::size_t>(shape.floats()) * sizeof(float));
  }
  const LinearState s = linear_state(shape, a.state != nullptr ? a.state : own_state);
  const std::int64_t position = a.state != nullptr ? a.position : 0;
  for (std::int64_t token = 0; token < a.tokens;) {
    const ChunkRows rows = next_rows(position, token, a.tokens);
    take_keys(a, s, rows);
    take_values(a, s, rows, raw, nullptr);
    for (std::int64_t head = 0; head < a.group_size; ++head) attend_rows(a, s, rows, head, queries, raw);
    if (rows.row + rows.count == kLinearChunk) advance_state(shape, s, kLinearChunk, queries);
    token += rows.count;
  }
}

}  // namespace tessera::kernels::TESSERA_ISA
