// The backward of the linear kinds of attention, chunk by chunk from the end; the states at the borders are
// computed again, so that the tape keeps nothing but inputs and outputs. Included by the translation units of
// one ISA after its vector header. The derivation: docs/attention/delta_rule.md.
//
// Whatever carries a factor e^{G_t} or e^{-G_j} gives its own value times its gradient to G's, so the gates'
// gradients come from those of queries and keys: `recalling` and `written` keep the two roles of a key apart.
#pragma once
#include "kernels/cpu/linear_attention.h"

namespace tessera::kernels::TESSERA_ISA {

// Working memory of one chunk; rows are tokens of the chunk.
struct GradientWork {
  float* queries;    // [chunk, key_width]
  float* decayed;    // queries or keys with their decays
  float* dqueries;   // of the head in hand
  float* recalling;  // dk of keys as they recall (delta rule): they carry e^{G_t}
  float* written;    // dk of keys as they were written: they carry e^{-G_j}
  float* products;   // [chunk, key_width]
  float* doutputs;   // [chunk, value_width]
  float* recalled;   // S^T k
  float* misses;     // w of the delta rule
  float* dwrites;    // du, and then dw
  float* dsums;      // dG [chunk, gate_width]
};

// The gradient of c = x . y e^{later - earlier} with respect to x and y: dx += dc y e, dy += dc x e.
static void decayed_dot_gradient(const LinearStateShape& shape, float dc, const float* x, const float* y,
                                 const float* later, const float* earlier, float* dx, float* dy) {
  const std::int64_t width = shape.key_width();
  if (shape.gate_dim <= 1) {
    const float factor = shape.gate_dim == 0 ? dc : dc * __builtin_expf(later[0] - earlier[0]);
    add_row(factor, y, dx, width);
    add_row(factor, x, dy, width);
    return;
  }
  const Float by = broadcast(dc);
  for (std::int64_t i = 0; i < width; i += kLanes) {
    const Float decay = multiply(by, exponential(subtract(load(later + i), load(earlier + i))));
    store(dx + i, multiply_add(decay, load(y + i), load(dx + i)));
    store(dy + i, multiply_add(decay, load(x + i), load(dy + i)));
  }
}

// dG += sign x * dx, summed over the channels where they share a gate.
static void add_gate_gradient(const LinearStateShape& shape, float sign, const float* x, const float* dx,
                              float* dsum) {
  const std::int64_t width = shape.key_width();
  if (shape.gate_dim == 0) return;
  if (shape.gate_dim == 1) {
    dsum[0] += sign * dot_rows(x, dx, width);
    return;
  }
  const Float by = broadcast(sign);
  for (std::int64_t i = 0; i < width; i += kLanes) {
    store(dsum + i, multiply_add(multiply(by, load(x + i)), load(dx + i), load(dsum + i)));
  }
}

// What later chunks say, dS [key_width, value_width] of the state after this chunk: to the chunk's writes and
// keys; dS becomes e^{G_end} dS, the part that goes on to the state before it.
static void state_gradient(const LinearStateShape& shape, const LinearState& s, std::int64_t count,
                           const GradientWork& w, float* dstate) {
  const std::int64_t kw = shape.key_width();
  const std::int64_t vw = shape.value_width();
  const std::int64_t gw = shape.gate_width();
  const float* last = s.sums + (count - 1) * gw;
  product_transposed(s.writes, vw, dstate, kw, vw, w.products, count);  // dS u_j
  for (std::int64_t j = 0; j < count; ++j) {
    float* key = w.decayed + j * kw;
    std::memset(key, 0, static_cast<std::size_t>(kw) * sizeof(float));
    float* dkey = w.dqueries;
    std::memset(dkey, 0, static_cast<std::size_t>(kw) * sizeof(float));
    // Of k_j . (dS u_j) e^{G_end - G_j}: dkey is dS u_j decayed, and `key` k_j decayed, which du needs.
    decayed_dot_gradient(shape, 1.0F, s.keys + j * kw, w.products + j * kw, last, s.sums + j * gw, dkey, key);
    add_row(1.0F, dkey, w.written + j * kw, kw);
    add_gate_gradient(shape, 1.0F, s.keys + j * kw, dkey, w.dsums + (count - 1) * gw);
  }
  small_product({.a = w.decayed,
                 .a_row_stride = kw,
                 .a_depth_stride = 1,
                 .b = dstate,
                 .b_stride = vw,
                 .c = w.dwrites,
                 .c_stride = vw,
                 .rows = count,
                 .columns = vw,
                 .depth = kw,
                 .accumulate = true});
  if (shape.gate_dim == 0) return;
  for (std::int64_t d = 0; d < kw; ++d) {
    const std::int64_t gate = shape.gate_dim == 1 ? 0 : d;
    const float kept = __builtin_expf(last[gate]);
    float* row = dstate + d * vw;
    w.dsums[(count - 1) * gw + gate] += kept * dot_rows(s.matrix + d * vw, row, vw);
    for (std::int64_t e = 0; e < vw; e += kLanes) store(row + e, multiply(broadcast(kept), load(row + e)));
  }
}

// Queries and output gradients of head `head` into the working memory; with the normalizer, o = n / m gives
// dn = do / m and dm = - do . o / m.
static void load_output_gradients(const LinearAttentionArguments& a, const LinearState& s,
                                  const ChunkRows& rows, std::int64_t head, const GradientWork& w) {
  const LinearStateShape& shape = a.shape;
  const std::int64_t kw = shape.key_width();
  const std::int64_t vw = shape.value_width();
  for (std::int64_t i = 0; i < rows.count; ++i) {
    const std::int64_t token = rows.token + i;
    copy_padded(a.query + token * a.query_stride + head * shape.key_dim, shape.key_dim, w.queries + i * kw,
                kw);
    decay_row(shape, a.scale, w.queries + i * kw, s.sums + i * shape.gate_width(), w.decayed + i * kw);
    const float* given = a.doutput + token * a.output_stride + head * shape.value_dim;
    float* row = w.doutputs + i * vw;
    copy_padded(given, shape.value_dim, row, vw);
    if (!shape.normalized) continue;
    const float* output = a.output + token * a.output_stride + head * shape.value_dim;
    const float factor = 1.0F / a.normalizer[token * a.normalizer_stride + head];
    float sum = 0.0F;
    for (std::int64_t e = 0; e < shape.value_dim; ++e) {
      sum += given[e] * output[e];
      row[e] *= factor;
    }
    row[shape.value_dim] = -sum * factor;
  }
}

// One query head: dq, its part of the writes' and keys' gradients and of the state's before the chunk.
static void query_gradient(const LinearAttentionArguments& a, const LinearState& s, const ChunkRows& rows,
                           std::int64_t head, const GradientWork& w, float* dstate) {
  const LinearStateShape& shape = a.shape;
  const std::int64_t kw = shape.key_width();
  const std::int64_t vw = shape.value_width();
  const std::int64_t gw = shape.gate_width();
  load_output_gradients(a, s, rows, head, w);
  product_transposed(w.doutputs, vw, s.matrix, kw, vw, w.products, rows.count);  // dO S^T
  for (std::int64_t t = 0; t < rows.count; ++t) {
    const float* query = w.queries + t * kw;
    const float* doutput = w.doutputs + t * vw;
    float* dquery = w.dqueries + t * kw;
    decay_row(shape, a.scale, w.products + t * kw, s.sums + t * gw, dquery);
    for (std::int64_t j = 0; j <= t; ++j) {
      const float* sum = s.sums + t * gw;
      const float* earlier = s.sums + j * gw;
      const float score = decayed_dot(shape, query, s.keys + j * kw, sum, earlier);
      const float dscore = a.scale * dot_rows(doutput, s.writes + j * vw, vw);
      add_row(a.scale * score, doutput, w.dwrites + j * vw, vw);
      decayed_dot_gradient(shape, dscore, query, s.keys + j * kw, sum, earlier, dquery, w.written + j * kw);
    }
    add_gate_gradient(shape, 1.0F, query, dquery, w.dsums + t * gw);
    std::memcpy(a.dquery + (rows.token + t) * a.query_stride + head * shape.key_dim, dquery,
                static_cast<std::size_t>(shape.key_dim) * sizeof(float));
  }
  small_product({.a = w.decayed,
                 .a_row_stride = 1,
                 .a_depth_stride = kw,
                 .b = w.doutputs,
                 .b_stride = vw,
                 .c = dstate,
                 .c_stride = vw,
                 .rows = kw,
                 .columns = vw,
                 .depth = rows.count,
                 .accumulate = true});
}

// Through the triangular system of the delta rule, from the last token to the first: du becomes dw.
static void solve_writes_gradient(const LinearAttentionArguments& a, const LinearState& s,
                                  const ChunkRows& rows, const GradientWork& w, float* dstate) {
  const LinearStateShape& shape = a.shape;
  const std::int64_t kw = shape.key_width();
  const std::int64_t vw = shape.value_width();
  const std::int64_t gw = shape.gate_width();
  for (std::int64_t t = rows.count - 1; t >= 0; --t) {
    const std::int64_t token = rows.token + t;
    const float* sum = s.sums + t * gw;
    float* dwrite = w.dwrites + t * vw;
    a.dbeta[token * a.beta_stride] = dot_rows(dwrite, w.misses + t * vw, vw);
    const Float beta = broadcast(a.beta[token * a.beta_stride]);
    const Float kept = broadcast(shape.gate_dim == 0 ? -1.0F : -__builtin_expf(sum[0]));
    for (std::int64_t e = 0; e < vw; e += kLanes) {
      const Float dmiss = multiply(beta, load(dwrite + e));
      store(dwrite + e, dmiss);
      store(w.recalled + t * vw + e, multiply(kept, dmiss));  // what was recalled is no longer needed
    }
    for (std::int64_t j = 0; j < t; ++j) {
      const float* earlier = s.sums + j * gw;
      const float overlap = decayed_dot(shape, s.keys + t * kw, s.keys + j * kw, sum, earlier);
      const float doverlap = -dot_rows(dwrite, s.writes + j * vw, vw);
      add_row(-overlap, dwrite, w.dwrites + j * vw, vw);
      decayed_dot_gradient(shape, doverlap, s.keys + t * kw, s.keys + j * kw, sum, earlier,
                           w.recalling + t * kw, w.written + j * kw);
    }
  }
  product_transposed(w.recalled, vw, s.matrix, kw, vw, w.products, rows.count);
  for (std::int64_t t = 0; t < rows.count; ++t) add_row(1.0F, w.products + t * kw, w.recalling + t * kw, kw);
  small_product({.a = s.keys,
                 .a_row_stride = 1,
                 .a_depth_stride = kw,
                 .b = w.recalled,
                 .b_stride = vw,
                 .c = dstate,
                 .c_stride = vw,
                 .rows = kw,
                 .columns = vw,
                 .depth = rows.count,
                 .accumulate = true});
}

// dk, dv and dg of the chunk to where the caller wants them.
static void store_gradients(const LinearAttentionArguments& a, const LinearState& s, const ChunkRows& rows,
                            const GradientWork& w) {
  const LinearStateShape& shape = a.shape;
  const std::int64_t kw = shape.key_width();
  const std::int64_t gw = shape.gate_width();
  for (std::int64_t t = rows.count - 1; t >= 0; --t) {
    const std::int64_t token = rows.token + t;
    float* dkey = w.written + t * kw;
    float* dsum = w.dsums + t * gw;
    add_gate_gradient(shape, -1.0F, s.keys + t * kw, dkey, dsum);
    add_gate_gradient(shape, 1.0F, s.keys + t * kw, w.recalling + t * kw, dsum);
    add_row(1.0F, w.recalling + t * kw, dkey, kw);
    std::memcpy(a.dkey + token * a.key_stride, dkey, static_cast<std::size_t>(shape.key_dim) * sizeof(float));
    std::memcpy(a.dvalue + token * a.value_stride, w.dwrites + t * shape.value_width(),
                static_cast<std::size_t>(shape.value_dim) * sizeof(float));
    for (std::int64_t d = 0; d < shape.gate_dim; ++d) {
      if (t + 1 < rows.count) dsum[d] += dsum[gw + d];  // a gate is part of every later sum
      a.dlog_gate[token * a.gate_stride + d] = dsum[d];
    }
  }
}

static GradientWork gradient_work(const LinearStateShape& shape, float* memory) {
  const std::int64_t keys = kLinearChunk * shape.key_width();
  const std::int64_t values = kLinearChunk * shape.value_width();
  float* rows = memory + 6 * keys;
  return {memory, memory + keys, memory + 2 * keys, memory + 3 * keys, memory + 4 * keys, memory + 5 * keys,
          rows,   rows + values, rows + 2 * values, rows + 3 * values, rows + 4 * values};
}

void linear_attention_gradient(const LinearAttentionArguments& a) {
  const LinearStateShape& shape = a.shape;
  const std::int64_t matrix = shape.matrix_floats();
  const std::int64_t chunks = (a.tokens + kLinearChunk - 1) / kLinearChunk;
  const std::int64_t work =
      kLinearChunk * (6 * shape.key_width() + 4 * shape.value_width() + shape.gate_width());
  float* memory = thread_scratch(work + shape.floats() + (chunks + 1) * matrix);
  const GradientWork w = gradient_work(shape, memory);
  LinearState s = linear_state(shape, memory + work);
  float* dstate = memory + work + shape.floats();
  float* borders = dstate + matrix;
  const auto bytes = [](std::int64_t floats) { return static_cast<std::size_t>(floats) * sizeof(float); };
  std::memset(dstate, 0, bytes(matrix));
  std::memset(s.matrix, 0, bytes(shape.floats()));
  for (std::int64_t c = 0; c < chunks; ++c) {
    const ChunkRows rows = next_rows(0, c * kLinearChunk, a.tokens);
    std::memcpy(borders + c * matrix, s.matrix, bytes(matrix));
    if (c + 1 == chunks) break;
    take_keys(a, s, rows);
    take_values(a, s, rows, w.recalled, nullptr);
    advance_state(shape, s, kLinearChunk, w.decayed);
  }
  for (std::int64_t c = chunks - 1; c >= 0; --c) {
    const ChunkRows rows = next_rows(0, c * kLinearChunk, a.tokens);
    s.matrix = borders + c * matrix;
    take_keys(a, s, rows);
    take_values(a, s, rows, w.recalled, w.misses);
    for (float* zeroed : {w.recalling, w.written})
      std::memset(zeroed, 0, bytes(kLinearChunk * shape.key_width()));
    std::memset(w.dwrites, 0, bytes(kLinearChunk * (shape.value_width() + shape.gate_width())));  // and dsums
    if (c + 1 < chunks) state_gradient(shape, s, rows.count, w, dstate);
    for (std::int64_t head = 0; head < a.group_size; ++head) query_gradient(a, s, rows, head, w, dstate);
    if (a.beta != nullptr) solve_writes_gradient(a, s, rows, w, dstate);
    store_gradients(a, s, rows, w);
  }
}

}  // namespace tessera::kernels::TESSERA_ISA
