#include "ops/low_rank.h"

#include "base/error.h"
#include "base/profile.h"
#include "kernels/kernel_table.h"
#include "ops/backward.h"
#include "ops/check.h"
#include "ops/elementwise.h"
#include "ops/linear.h"
#include "ops/matrix_product.h"

namespace tessera::ops {
namespace {

void check(const Tensor& y, const Tensor& h, const Tensor& b, std::span<const std::int32_t> rows) {
  for (const Tensor* tensor : {&y, &h, &b}) {
    expect_f32(*tensor, "add_low_rank");
    expect_rank(*tensor, 2, "add_low_rank");
  }
  expect_shape(b, {y.dim(1), h.dim(1)}, "add_low_rank: b");
  expect_dim(h, 0, rows.empty() ? y.dim(0) : static_cast<std::int64_t>(rows.size()), "add_low_rank: h");
  for (const std::int32_t row : rows) {
    if (row < 0 || row >= y.dim(0)) fail(ErrorKind::internal, "add_low_rank: row {} of {}", row, y.dim(0));
  }
}

// With y's own gradient left as it is: what made y gets it next.
void backward(autograd::Tape& tape, const Tensor& y, const Tensor& h, const Tensor& b) {
  const ProfileTimer timer("add_low_rank backward");
  const Tensor dy = tape.gradient(y);
  if (tape.tracks(h)) {
    autograd::GradientWindow dh = tape.gradient_to_write(h);
    matrix_product(view(dy), view(b), dh.values.as_mutable<float>().data(), h.dim(1), dh.accumulate);
  }
  if (tape.tracks(b)) {
    autograd::GradientWindow db = tape.gradient_to_write(b);
    matrix_product(view(dy).transposed(), view(h), db.values.as_mutable<float>().data(), b.dim(1),
                   db.accumulate);
  }
}

}  // namespace

void add_low_rank(Tensor& y, const Tensor& h, const Tensor& b, std::span<const std::int32_t> rows) {
  const ProfileTimer timer("add_low_rank");
  check(y, h, b, rows);
  if (autograd::Tape* tape = autograd::tape_for({&y, &h, &b})) {
    if (!rows.empty()) fail(ErrorKind::internal, "add_low_rank: gradients of some rows alone");
    matrix_product(view(h), view(b).transposed(), y.as_mutable<float>().data(), y.dim(1), true);
    tape->record({y}, {h}, [y, h, b](autograd::Tape& t) { backward(t, y, h, b); });
    return;
  }
  const Tensor update = linear(h, b);  // [R, out]
  if (rows.empty()) return add_in_place(y, update);
  const auto kernel = kernels::active().add;
  const std::int64_t width = y.dim(1);
  float* values = y.as_mutable<float>().data();
  const float* row_of_update = update.as<float>().data();
  for (const std::int32_t row : rows) {
    kernel(values + row * width, row_of_update, values + row * width, width);
    row_of_update += width;
  }
}

}  // namespace tessera::ops
