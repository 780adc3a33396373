#include "ops/sparse_attention.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/profile.h"
#include "base/thread_pool.h"
#include "kernels/sparse_tiles.h"
#include "kernels/training_table.h"
#include "ops/attention_check.h"
#include "ops/backward.h"

namespace tessera::ops {
namespace {

// What forward and backward share.
struct Inputs {
  Tensor q, k, v;
  std::vector<std::int32_t> query_start;  // [N + 1]
  AttentionParameters parameters;
  // [N, patterns]: heads h with h % patterns == p have those at p.
  std::vector<kernels::SparseTiles> tiles;
  std::int64_t patterns = 1;

  std::int64_t heads() const { return q.dim(1); }
  std::int64_t key_value_heads() const { return k.dim(1); }
  std::int64_t group() const { return heads() / key_value_heads(); }
  std::int64_t sequences() const { return static_cast<std::int64_t>(query_start.size()) - 1; }
  std::int64_t first_token(std::int64_t n) const { return query_start[static_cast<std::size_t>(n)]; }
  std::int64_t tokens(std::int64_t n) const { return first_token(n + 1) - first_token(n); }
  const kernels::SparseTiles& tiles_of(std::int64_t n, std::int64_t head) const {
    return tiles[static_cast<std::size_t>(n * patterns + head % patterns)];
  }
};

void make_tiles(Inputs& in) {
  const auto given = static_cast<std::int64_t>(in.parameters.patterns.size());
  in.patterns = std::max<std::int64_t>(1, std::min(given, in.heads()));
  for (std::int64_t n = 0; n < in.sequences(); ++n) {
    const std::int64_t T = in.tokens(n);
    for (std::int64_t p = 0; p < in.patterns; ++p) {
      if (n > 0 && in.tokens(n - 1) == T) {  // as in most batches
        in.tiles.push_back(in.tiles_of(n - 1, p));
        continue;
      }
      const AttentionPattern pattern = pattern_of(in.parameters, p);
      expect_within(pattern, T);
      in.tiles.push_back(kernels::sparse_tiles(pattern, 0, T, T));
    }
  }
}

Inputs checked(const Tensor& q, const Tensor& k, const Tensor& v, const RaggedBatch& batch,
               const AttentionParameters& parameters) {
  expect_attention_inputs(q, k, v, batch, "sparse_attention");
  Inputs in{q, k, v, {batch.query_start.begin(), batch.query_start.end()}, parameters, {}, 1};
  make_tiles(in);
  return in;
}

// Query heads that share key/value head `head` of sequence `n`, with the tiles of `tiles`; outputs, gradients
// and which heads and tiles are the callers' to add.
kernels::SparseAttentionArguments arguments_of(const Inputs& in, std::int64_t n, std::int64_t head,
                                               const kernels::SparseTiles& tiles) {
  const std::int64_t head_dim = in.q.dim(2);
  const std::int64_t at = (in.first_token(n) * in.heads() + head * in.group()) * head_dim;
  const std::int64_t key_value_at = (in.first_token(n) * in.key_value_heads() + head) * head_dim;
  return {.query = in.q.as<float>().data() + at,
          .key = in.k.as<float>().data() + key_value_at,
          .value = in.v.as<float>().data() + key_value_at,
          .query_stride = in.heads() * head_dim,
          .key_value_stride = in.key_value_heads() * head_dim,
          .log_sum_stride = in.heads(),
          .head_dim = head_dim,
          .scale = in.parameters.scale,
          .logit_softcap = in.parameters.logit_softcap,
          .tiles = tiles.tiles.data(),
          .runs = tiles.runs.data(),
          .past = tiles.past,
          .future = tiles.future};
}

// One tile of one query head.
struct Unit {
  std::int64_t sequence;
  std::int64_t head;
  std::int64_t tile;
};

// Tiles of a sequence alternately from its ends, so that any run of units has about the same share of work.
std::vector<Unit> units_of(const Inputs& in) {
  std::vector<Unit> units;
  for (std::int64_t n = 0; n < in.sequences(); ++n) {
    for (std::int64_t head = 0; head < in.heads(); ++head) {
      const auto count = static_cast<std::int64_t>(in.tiles_of(n, head).tiles.size());
      for (std::int64_t i = 0; i < count; ++i) {
        units.push_back({n, head, i % 2 == 0 ? i / 2 : count - 1 - i / 2});
      }
    }
  }
  return units;
}

void forward(const Inputs& in, Tensor& y, Tensor& log_sums) {
  const ProfileTimer timer("sparse_attention");
  const std::vector<Unit> units = units_of(in);
  float* output = y.as_mutable<float>().data();
  float* sums = log_sums.as_mutable<float>().data();
  const auto kernel = kernels::active_training().sparse_attention;
  const auto run = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const Unit& unit = units[static_cast<std::size_t>(i)];
      kernels::SparseAttentionArguments a =
          arguments_of(in, unit.sequence, unit.head / in.group(), in.tiles_of(unit.sequence, unit.head));
      const std::int64_t at = a.query - in.q.as<float>().data();
      a.output = output + at;
      a.log_sums = sums + at / a.head_dim;
      a.head_begin = unit.head % in.group();
      a.head_end = a.head_begin + 1;
      a.tile_begin = unit.tile;
      a.tile_end = unit.tile + 1;
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

struct Gradients {
  const float* doutput;
  float* dquery;
  float* dkey;
  float* dvalue;
};

// Of one key/value head of one sequence: tile after tile, so that sums have one order.
void group_backward(const Inputs& in, std::int64_t n, std::int64_t head, const Tensor& y,
                    const Tensor& log_sums, const Gradients& gradients) {
  const auto kernel = kernels::active_training().sparse_attention_gradient;
  const std::int64_t heads_alike = in.patterns == 1 ? in.group() : 1;
  for (std::int64_t g = 0; g < in.group(); g += heads_alike) {
    const kernels::SparseTiles& tiles = in.tiles_of(n, head * in.group() + g);
    kernels::SparseAttentionArguments a = arguments_of(in, n, head, tiles);
    const std::int64_t at = a.query - in.q.as<float>().data();
    const std::int64_t key_value_at = a.key - in.k.as<float>().data();
    a.output = const_cast<float*>(y.as<float>().data()) + at;                        // only read
    a.log_sums = const_cast<float*>(log_sums.as<float>().data()) + at / a.head_dim;  // only read
    a.doutput = gradients.doutput + at;
    a.dquery = gradients.dquery + at;
    a.dkey = gradients.dkey + key_value_at;
    a.dvalue = gradients.dvalue + key_value_at;
    for (std::int64_t t = 0; g == 0 && t < in.tokens(n); ++t) {
      std::fill_n(a.dkey + t * a.key_value_stride, a.head_dim, 0.0F);
      std::fill_n(a.dvalue + t * a.key_value_stride, a.head_dim, 0.0F);
    }
    a.head_begin = g;
    a.head_end = g + heads_alike;
    a.tile_end = static_cast<std::int64_t>(tiles.tiles.size());
    kernel(a);
  }
}

void backward(autograd::Tape& tape, const Inputs& in, const Tensor& y, const Tensor& log_sums) {
  const ProfileTimer timer("attention backward");
  const Tensor dy = tape.gradient(y);
  autograd::GradientWindow windows[3];
  Tensor dq = place_for(tape, in.q, windows[0]);
  Tensor dk = place_for(tape, in.k, windows[1]);
  Tensor dv = place_for(tape, in.v, windows[2]);
  const Gradients gradients{dy.as<float>().data(), dq.as_mutable<float>().data(),
                            dk.as_mutable<float>().data(), dv.as_mutable<float>().data()};
  const std::int64_t heads = in.key_value_heads();
  thread_pool().parallel_for(in.sequences() * heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      group_backward(in, i / heads, i % heads, y, log_sums, gradients);
    }
  });
  if (windows[0].accumulate) add_gradient(windows[0], dq);
  if (windows[1].accumulate) add_gradient(windows[1], dk);
  if (windows[2].accumulate) add_gradient(windows[2], dv);
}

}  // namespace

AttentionPattern pattern_of(const AttentionParameters& parameters, std::int64_t head) {
  if (!parameters.patterns.empty()) {
    return parameters.patterns[static_cast<std::size_t>(head) % parameters.patterns.size()];
  }
  if (parameters.sliding_window == 0) return {};
  return {.kind = PatternKind::sliding_window, .window = parameters.sliding_window};
}

void expect_within(const AttentionPattern& pattern, std::int64_t length) {
  if (pattern.length == 0 || length <= pattern.length) return;
  fail(ErrorKind::bad_usage, "attention: a text of {} tokens; the pattern counts its blocks in {} tokens",
       length, pattern.length);
}

Tensor sparse_attention(const Tensor& q, const Tensor& k, const Tensor& v, const RaggedBatch& batch,
                        const AttentionParameters& parameters) {
  const Inputs in = checked(q, k, v, batch, parameters);
  Tensor y = Tensor::empty(q.shape());
  Tensor log_sums = Tensor::empty({q.dim(0), q.dim(1)});
  forward(in, y, log_sums);
  if (autograd::Tape* tape = autograd::tape_for({&q, &k, &v})) {
    tape->record({y}, {in.q, in.k, in.v, y},
                 [in, y, log_sums](autograd::Tape& t) { backward(t, in, y, log_sums); });
  }
  return y;
}

}  // namespace tessera::ops
