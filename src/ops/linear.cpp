#include "ops/linear.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <string>

#include "base/error.h"
#include "base/profile.h"
#include "base/thread_pool.h"
#include "kernels/kernel_table.h"
#include "ops/backward.h"
#include "ops/check.h"
#include "ops/grain.h"

namespace tessera::ops {
namespace {

// Rows a thread takes at least: a multiple of every kernel's panel of rows.
constexpr std::int64_t kRowGrain = 16;

struct Task {
  const WeightMatrix* weight = nullptr;
  const float* bias = nullptr;
  float* output = nullptr;  // [T, rows]
  std::int64_t rows = 0;
  std::int64_t first_row = 0;  // of the packed matrix
  std::int64_t chunks = 0;     // of kRowGrain rows, counted from a multiple of it
};

kernels::InputForm input_form(const WeightMatrix& weight) {
  if (!weight.is_packed()) return kernels::InputForm::floats;
  return kernels::active().packed[static_cast<std::size_t>(weight.dtype())].input;
}

// With no output yet.
Task make_task(const Tensor& x, const Projection& projection) {
  const WeightMatrix& weight = *projection.weight;
  if (!weight.defined()) fail(ErrorKind::internal, "linear: expected a weight, found none");
  expect_dim(x, 1, weight.columns(), "linear: x");
  if (!weight.is_packed() && kernels::active().linear[static_cast<std::size_t>(weight.dtype())] == nullptr) {
    fail(ErrorKind::internal, "linear: no kernel for {} weights", name(weight.dtype()));
  }
  Task task;
  task.weight = &weight;
  task.rows = weight.rows();
  task.first_row = weight.first_row();
  const std::int64_t skipped = task.first_row % kRowGrain;
  task.chunks = (skipped + task.rows + kRowGrain - 1) / kRowGrain;
  if (projection.bias != nullptr && projection.bias->defined()) {
    expect_f32(*projection.bias, "linear: bias");
    expect_shape(*projection.bias, Shape{task.rows}, "linear: bias");
    task.bias = projection.bias->as<float>().data();
  }
  return task;
}

// x in every form that some weight wants, each made once.
class Inputs {
 public:
  explicit Inputs(const Tensor& x) : x_(x) {}

  void prepare(kernels::InputForm form) {
    if (form == kernels::InputForm::floats || !rows_of(form).empty()) return;
    const kernels::InputLayout layout(form, x_.dim(1));
    Tensor& rows = quantized_[static_cast<std::size_t>(form)];
    rows = Tensor::empty({x_.dim(0), layout.bytes}, DType::u8);
    const auto kernel = kernels::active().quantize_input[static_cast<std::size_t>(form)];
    const float* source = x_.as<float>().data();
    std::byte* target = rows.mutable_raw();
    thread_pool().parallel_for(x_.dim(0), row_grain(x_.dim(1)), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t t = begin; t < end; ++t) {
        kernel(source + t * x_.dim(1), target + t * layout.bytes, x_.dim(1));
      }
    });
  }
  // Empty when not prepared.
  std::span<const std::byte> rows_of(kernels::InputForm form) const {
    const Tensor& rows = form == kernels::InputForm::floats ? x_ : quantized_[static_cast<std::size_t>(form)];
    return rows.defined() ? std::span(rows.raw(), rows.bytes()) : std::span<const std::byte>();
  }
  const Tensor& floats() const { return x_; }
  std::int64_t stride(kernels::InputForm form) const {
    return form == kernels::InputForm::floats ? x_.dim(1) * std::int64_t{sizeof(float)}
                                              : kernels::InputLayout(form, x_.dim(1)).bytes;
  }

 private:
  const Tensor& x_;
  std::array<Tensor, kernels::kInputFormCount> quantized_;
};

// Rows [begin, end) of the weight as it lies in memory.
void run_stored(const Task& task, const Tensor& x, std::int64_t begin, std::int64_t end) {
  const kernels::LinearArguments arguments{.input = x.as<float>().data(),
                                           .input_stride = x.dim(1),
                                           .weight = task.weight->raw(),
                                           .bias = task.bias,
                                           .output = task.output,
                                           .output_stride = task.rows,
                                           .tokens = x.dim(0),
                                           .in_features = x.dim(1),
                                           .row_begin = begin,
                                           .row_end = end};
  kernels::active().linear[static_cast<std::size_t>(task.weight->dtype())](arguments);
}

void run_packed(const Task& task, const Inputs& inputs, std::int64_t begin, std::int64_t end) {
  const kernels::InputForm form = input_form(*task.weight);
  const kernels::PackedLinearArguments arguments{.input = inputs.rows_of(form).data(),
                                                 .input_stride = inputs.stride(form),
                                                 .weight = task.weight->raw(),
                                                 .bias = task.bias,
                                                 .output = task.output,
                                                 .output_stride = task.rows,
                                                 .tokens = inputs.floats().dim(0),
                                                 .in_features = inputs.floats().dim(1),
                                                 .first_row = task.first_row,
                                                 .row_begin = begin,
                                                 .row_end = end};
  kernels::active().packed[static_cast<std::size_t>(task.weight->dtype())].linear(arguments);
}

// Chunks [begin, end) of all tasks laid end to end.
void run_chunks(std::span<const Task> tasks, const Inputs& inputs, std::int64_t begin, std::int64_t end) {
  std::int64_t first = 0;  // chunk at which this task begins
  for (const Task& task : tasks) {
    const std::int64_t low = std::max(begin, first) - first;
    const std::int64_t high = std::min(end, first + task.chunks) - first;
    first += task.chunks;
    if (low >= high) continue;
    const std::int64_t base = task.first_row / kRowGrain * kRowGrain;
    const std::int64_t row_begin = std::max(task.first_row, base + low * kRowGrain);
    const std::int64_t row_end = std::min(task.first_row + task.rows, base + high * kRowGrain);
    if (task.weight->is_packed()) {
      run_packed(task, inputs, row_begin, row_end);
    } else {
      run_stored(task, inputs.floats(), row_begin, row_end);
    }
  }
}

// Whether the tape must see gate and up apart.
bool is_recorded(const Tensor& x, std::span<const Projection> projections) {
  const Tensor none;
  return std::ranges::any_of(projections, [&](const Projection& projection) {
    return tape_for_weight(*projection.weight, {&x, projection.bias != nullptr ? projection.bias : &none}) !=
           nullptr;
  });
}

// Features of gate and up whose values for all tokens take about this much memory are combined together.
constexpr std::int64_t kGatedBytes = 384 * 1024;
// A multiple of the panels that every kernel takes together.
constexpr std::int64_t kGatedStrip = 96;

// Features [begin, end) of activation(gate) * up into y [T, F].
void run_gated(std::span<const Task> gate_and_up, const Inputs& inputs, Activation activation,
               std::int64_t begin, std::int64_t end, Tensor& y) {
  const std::int64_t tokens = y.dim(0);
  const std::int64_t fitting = kGatedBytes / (2 * std::int64_t{sizeof(float)} * tokens);
  const std::int64_t width =
      std::min(end - begin, std::max(kGatedStrip, fitting / kGatedStrip * kGatedStrip));
  Tensor scratch = Tensor::empty({2, tokens * width});
  float* values = scratch.as_mutable<float>().data();
  float* target = y.as_mutable<float>().data();
  const auto kernel = kernels::active().gated_activation[static_cast<std::size_t>(activation)];
  for (std::int64_t first = begin; first < end; first += width) {
    const std::int64_t count = std::min(width, end - first);
    for (std::size_t i = 0; i < gate_and_up.size(); ++i) {
      Task strip = gate_and_up[i];
      strip.first_row += first;
      strip.rows = count;
      if (strip.bias != nullptr) strip.bias += first;
      strip.output = values + static_cast<std::int64_t>(i) * tokens * width;
      run_packed(strip, inputs, strip.first_row, strip.first_row + count);
    }
    for (std::int64_t t = 0; t < tokens; ++t) {
      kernel(values + t * count, values + tokens * width + t * count, target + t * y.dim(1) + first, count);
    }
  }
}

// "linear Q4_1 576 to 1536 + 1536".
std::string describe(std::span<const Projection> projections) {
  std::string text = "linear";
  for (const Projection& projection : projections) {
    const WeightMatrix& weight = *projection.weight;
    text += projection.weight == projections.front().weight
                ? fmt::format(" {} {} to {}", name(weight.dtype()), weight.columns(), weight.rows())
                : fmt::format(" + {}", weight.rows());
  }
  return text;
}

}  // namespace

std::vector<Tensor> linear_together(const Tensor& x, std::span<const Projection> projections) {
  constexpr std::size_t kMostProjections = 4;
  const ProfileTimer timer([&] { return describe(projections); });
  expect_f32(x, "linear: x");
  expect_rank(x, 2, "linear: x");
  if (projections.size() > kMostProjections) {
    fail(ErrorKind::internal, "linear: {} projections together, at most {}", projections.size(),
         kMostProjections);
  }
  for (const Projection& projection : projections) {
    const Tensor none;
    autograd::Tape* tape =
        tape_for_weight(*projection.weight, {&x, projection.bias != nullptr ? projection.bias : &none});
    if (tape != nullptr) return recorded_linear(*tape, x, projections);
  }
  std::vector<Tensor> outputs(projections.size());
  std::array<Task, kMostProjections> storage;
  const std::span<Task> tasks(storage.data(), projections.size());
  Inputs inputs(x);
  std::int64_t chunks = 0;
  for (std::size_t i = 0; i < projections.size(); ++i) {
    tasks[i] = make_task(x, projections[i]);
    outputs[i] = Tensor::empty({x.dim(0), tasks[i].rows});
    tasks[i].output = outputs[i].as_mutable<float>().data();
    inputs.prepare(input_form(*projections[i].weight));
    chunks += tasks[i].chunks;
  }
  if (x.dim(0) == 0) return outputs;
  thread_pool().parallel_for(
      chunks, 1, [&](std::int64_t begin, std::int64_t end) { run_chunks(tasks, inputs, begin, end); });
  return outputs;
}

Tensor gated_linear(const Tensor& x, const Projection& gate, const Projection& up, Activation activation) {
  const Projection both[] = {gate, up};
  if (!gate.weight->is_packed() || !up.weight->is_packed() || is_recorded(x, both)) {
    const std::vector<Tensor> parts = linear_together(x, both);
    return gated_activation(parts[0], parts[1], activation);
  }
  const ProfileTimer timer([&] { return describe(both) + ", gated"; });
  expect_f32(x, "gated_linear: x");
  expect_rank(x, 2, "gated_linear: x");
  const Task tasks[] = {make_task(x, gate), make_task(x, up)};
  const std::int64_t features = tasks[0].rows;
  if (tasks[1].rows != features) {
    fail(ErrorKind::internal, "gated_linear: gate has {} features, up {}", features, tasks[1].rows);
  }
  Tensor y = Tensor::empty({x.dim(0), features});
  if (x.dim(0) == 0) return y;
  Inputs inputs(x);
  for (const Projection& projection : both) inputs.prepare(input_form(*projection.weight));
  thread_pool().parallel_for(features, 2 * kRowGrain, [&](std::int64_t begin, std::int64_t end) {
    run_gated(tasks, inputs, activation, begin, end, y);
  });
  return y;
}

Tensor linear(const Tensor& x, const WeightMatrix& weight, const Tensor& bias) {
  const Projection projection{&weight, &bias};
  return std::move(linear_together(x, {&projection, 1}).front());
}

}  // namespace tessera::ops
