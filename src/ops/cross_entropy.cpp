#include "ops/cross_entropy.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/profile.h"
#include "base/thread_pool.h"
#include "kernels/training_table.h"
#include "ops/backward.h"
#include "ops/check.h"
#include "ops/elementwise.h"
#include "ops/grain.h"
#include "ops/matrix_product.h"

namespace tessera::ops {
namespace {

struct Loss {
  Tensor hidden;
  Tensor weight;
  std::vector<std::int32_t> targets;
  CrossEntropyOptions options;
  double normalizer = 1.0;
};

// Rows of logits that are in memory at a time: at most about 64 MiB, for each chunk reads all of the weights.
// By the shape alone.
std::int64_t chunk_rows(std::int64_t rows, std::int64_t vocabulary) {
  constexpr std::int64_t kChunkElements = std::int64_t{1} << 24;
  constexpr std::int64_t kTileRows = 24;
  const std::int64_t most =
      std::clamp<std::int64_t>(kChunkElements / std::max<std::int64_t>(1, vocabulary), 48, 1024);
  const std::int64_t chunks = std::max<std::int64_t>(1, (rows + most - 1) / most);
  return (rows / chunks + kTileRows) / kTileRows * kTileRows;
}

// Calls use(first row, logits [rows, V]) for every chunk.
template <typename Use>
void for_each_chunk(const Loss& loss, Use use) {
  const std::int64_t rows = loss.hidden.dim(0);
  const std::int64_t vocabulary = loss.weight.dim(0);
  const std::int64_t step = chunk_rows(rows, vocabulary);
  const autograd::NoGradientScope forward_only;
  Tensor memory = Tensor::empty({std::min(step, rows), vocabulary});
  for (std::int64_t first = 0; first < rows; first += step) {
    const std::int64_t count = std::min(step, rows - first);
    Tensor logits = memory.rows(0, count);
    matrix_product(view(loss.hidden.rows(first, first + count)), view(loss.weight).transposed(),
                   logits.as_mutable<float>().data(), vocabulary, false);
    if (loss.options.logit_softcap > 0.0F) softcap_in_place(logits, loss.options.logit_softcap);
    use(first, logits);
  }
}

// Each row's loss into losses[first ...]; with a gradient_scale, logits become their gradients.
void run_rows(const Loss& loss, std::int64_t first, Tensor& logits, float gradient_scale, float* losses) {
  const auto kernel = kernels::active_training().cross_entropy;
  const std::int64_t vocabulary = logits.dim(1);
  float* values = logits.as_mutable<float>().data();
  thread_pool().parallel_for(
      logits.dim(0), row_grain(8 * vocabulary), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row) {
          const std::int32_t target = loss.targets[static_cast<std::size_t>(first + row)];
          float* own = values + row * vocabulary;
          float value = 0.0F;
          if (target != kIgnoredTarget) {
            value = kernel(own, vocabulary, target, loss.options.label_smoothing, loss.options.logit_softcap,
                           gradient_scale);
          } else if (gradient_scale != 0.0F) {
            std::fill_n(own, vocabulary, 0.0F);
          }
          if (losses != nullptr) losses[first + row] = value;
        }
      });
}

// Adds `upstream` times the gradients of hidden and weight; the rows' losses, too, where asked for.
void add_gradients(autograd::Tape& tape, const Loss& loss, float upstream, float* losses) {
  const auto gradient_scale = static_cast<float>(double{upstream} / loss.normalizer);
  if (gradient_scale == 0.0F) return;
  const std::int64_t width = loss.hidden.dim(1);
  autograd::GradientWindow dhidden;
  autograd::GradientWindow dweight;
  if (tape.tracks(loss.hidden)) dhidden = tape.gradient_to_write(loss.hidden);
  if (tape.tracks(loss.weight)) dweight = tape.gradient_to_write(loss.weight);
  for_each_chunk(loss, [&](std::int64_t first, Tensor& logits) {
    run_rows(loss, first, logits, gradient_scale, losses);
    if (dhidden.values.defined()) {
      float* target = dhidden.values.as_mutable<float>().data() + first * width;
      matrix_product(view(logits), view(loss.weight), target, width, dhidden.accumulate);
    }
    if (dweight.values.defined()) {
      const Tensor rows = loss.hidden.rows(first, first + logits.dim(0));
      matrix_product(view(logits).transposed(), view(rows), dweight.values.as_mutable<float>().data(), width,
                     dweight.accumulate || first > 0);
    }
  });
}

void record(autograd::Tape& tape, Loss loss, const Tensor& result) {
  if (loss.options.gradient_with_loss) {
    tape.record({result}, {}, [result](autograd::Tape& t) {
      if (t.gradient(result).as<float>()[0] == 1.0F) return;
      fail(ErrorKind::internal, "linear_cross_entropy: gradient_with_loss expects a walk back from 1");
    });
    return;
  }
  const Tensor hidden = loss.hidden;
  tape.record({result}, {hidden}, [loss = std::move(loss), result](autograd::Tape& t) {
    const ProfileTimer timer("linear_cross_entropy backward");
    add_gradients(t, loss, t.gradient(result).as<float>()[0], nullptr);
  });
}

std::int64_t checked_targets(std::span<const std::int32_t> targets, std::int64_t vocabulary) {
  std::int64_t counted = 0;
  for (const std::int32_t target : targets) {
    if (target == kIgnoredTarget) continue;
    if (target < 0 || target >= vocabulary) {
      fail(ErrorKind::bad_input, "expected a target below {} or {}, found {}", vocabulary, kIgnoredTarget,
           target);
    }
    ++counted;
  }
  return counted;
}

}  // namespace

Tensor linear_cross_entropy(const Tensor& hidden, const WeightMatrix& weight,
                            std::span<const std::int32_t> targets, const CrossEntropyOptions& options) {
  const ProfileTimer timer("linear_cross_entropy");
  expect_f32(hidden, "linear_cross_entropy: hidden");
  expect_rank(hidden, 2, "linear_cross_entropy: hidden");
  expect_dim(hidden, 0, static_cast<std::int64_t>(targets.size()), "linear_cross_entropy: hidden");
  expect_dim(hidden, 1, weight.columns(), "linear_cross_entropy: hidden");
  const std::int64_t counted = checked_targets(targets, weight.rows());
  Loss loss{hidden, widened(weight), {targets.begin(), targets.end()}, options};
  loss.normalizer =
      static_cast<double>(std::max<std::int64_t>(1, options.normalizer > 0 ? options.normalizer : counted));
  std::vector<float> losses(targets.size());
  autograd::Tape* const tape = autograd::tape_for({&hidden, &loss.weight});
  if (tape != nullptr && options.gradient_with_loss) {
    add_gradients(*tape, loss, 1.0F, losses.data());
  } else {
    for_each_chunk(
        loss, [&](std::int64_t first, Tensor& logits) { run_rows(loss, first, logits, 0, losses.data()); });
  }
  double sum = 0;
  for (const float value : losses) sum += double{value};
  Tensor result = Tensor::from_values({1}, std::vector<float>{static_cast<float>(sum / loss.normalizer)});
  if (tape != nullptr) record(*tape, std::move(loss), result);
  return result;
}

}  // namespace tessera::ops
