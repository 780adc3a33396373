#include "ops/elementwise.h"

#include <cstring>

#include "base/error.h"
#include "base/profile.h"
#include "base/thread_pool.h"
#include "kernels/kernel_table.h"
#include "ops/backward.h"
#include "ops/check.h"
#include "ops/grain.h"

namespace tessera::ops {
namespace {

void add_into(const Tensor& a, const Tensor& b, float* target) {
  const ProfileTimer timer("add");
  expect_f32(a, "add: a");
  expect_f32(b, "add: b");
  expect_shape(b, a.shape(), "add: b");
  const float* left = a.as<float>().data();
  const float* right = b.as<float>().data();
  const auto kernel = kernels::active().add;
  thread_pool().parallel_for(a.elements(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
    kernel(left + begin, right + begin, target + begin, end - begin);
  });
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  expect_f32(a, "add: a");
  Tensor y = Tensor::empty(a.shape());
  add_into(a, b, y.as_mutable<float>().data());
  if (autograd::Tape* tape = autograd::tape_for({&a, &b})) record_add(*tape, a, b, y);
  return y;
}

void add_in_place(Tensor& a, const Tensor& b) {
  expect_f32(a, "add: a");
  expect_no_gradient({&a, &b}, "add_in_place");
  add_into(a, b, a.as_mutable<float>().data());
}

void scale_in_place(Tensor& x, float factor) {
  const ProfileTimer timer("scale");
  expect_f32(x, "scale: x");
  float* values = x.as_mutable<float>().data();
  const auto kernel = kernels::active().scale;
  thread_pool().parallel_for(x.elements(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
    kernel(values + begin, factor, end - begin);
  });
  if (autograd::Tape* tape = autograd::tape_for({&x})) record_scale_in_place(*tape, x, factor);
}

void softcap_in_place(Tensor& x, float cap) {
  const ProfileTimer timer("softcap");
  expect_f32(x, "softcap: x");
  float* values = x.as_mutable<float>().data();
  const auto kernel = kernels::active().softcap;
  thread_pool().parallel_for(x.elements(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
    kernel(values + begin, cap, end - begin);
  });
  if (autograd::Tape* tape = autograd::tape_for({&x})) record_softcap_in_place(*tape, x, cap);
}

Tensor columns(const Tensor& x, std::int64_t begin, std::int64_t end) {
  expect_f32(x, "columns: x");
  expect_rank(x, 2, "columns: x");
  expect_no_gradient({&x}, "columns");
  if (begin < 0 || begin > end || end > x.dim(1)) {
    fail(ErrorKind::internal, "columns: [{}, {}) of {}", begin, end, x.shape().to_string());
  }
  Tensor y = Tensor::empty({x.dim(0), end - begin});
  const float* source = x.as<float>().data() + begin;
  float* target = y.as_mutable<float>().data();
  const std::size_t bytes = static_cast<std::size_t>(end - begin) * sizeof(float);
  for (std::int64_t row = 0; row < x.dim(0) && bytes > 0; ++row) {
    std::memcpy(target + row * (end - begin), source + row * x.dim(1), bytes);
  }
  return y;
}

Tensor gather_rows(const Tensor& x, std::span<const std::int32_t> indices) {
  expect_f32(x, "gather_rows: x");
  expect_rank(x, 2, "gather_rows: x");
  expect_no_gradient({&x}, "gather_rows");
  const std::int64_t width = x.dim(1);
  Tensor y = Tensor::empty({static_cast<std::int64_t>(indices.size()), width});
  const float* source = x.as<float>().data();
  float* target = y.as_mutable<float>().data();
  for (const std::int32_t index : indices) {
    if (index < 0 || index >= x.dim(0)) {
      fail(ErrorKind::internal, "gather_rows: row {} of {}", index, x.shape().to_string());
    }
    if (width > 0)
      std::memcpy(target, source + index * width, static_cast<std::size_t>(width) * sizeof(float));
    target += width;
  }
  return y;
}

}  // namespace tessera::ops
