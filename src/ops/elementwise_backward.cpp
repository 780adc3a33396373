// The backward of ops/elementwise and ops/activation.
#include <cstring>
#include <string_view>

#include "base/error.h"
#include "base/profile.h"
#include "base/thread_pool.h"
#include "kernels/training_table.h"
#include "ops/backward.h"
#include "ops/elementwise.h"
#include "ops/grain.h"

namespace tessera::ops {

void add_gradient(const autograd::GradientWindow& window, const Tensor& dy) {
  Tensor values = window.values;
  float* target = values.as_mutable<float>().data();
  const float* source = dy.as<float>().data();
  const auto add_to = kernels::active_training().add_to;
  thread_pool().parallel_for(dy.elements(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
    if (window.accumulate) {
      add_to(target + begin, source + begin, end - begin);
    } else {
      std::memcpy(target + begin, source + begin, static_cast<std::size_t>(end - begin) * sizeof(float));
    }
  });
}

void expect_no_gradient(std::initializer_list<const Tensor*> inputs, std::string_view operation) {
  if (autograd::tape_for(inputs) != nullptr) {
    fail(ErrorKind::internal, "{}: has no backward, and a gradient would have to flow through it", operation);
  }
}

void record_add(autograd::Tape& tape, const Tensor& a, const Tensor& b, const Tensor& y) {
  tape.record({y}, {}, [a, b, y](autograd::Tape& t) {
    const ProfileTimer timer("add backward");
    const Tensor dy = t.gradient(y);
    if (t.tracks(a)) add_gradient(t.gradient_to_write(a), dy);
    if (t.tracks(b)) add_gradient(t.gradient_to_write(b), dy);
  });
}

void record_scale_in_place(autograd::Tape& tape, const Tensor& x, float factor) {
  tape.record_in_place(x, [x, factor](autograd::Tape& t) {
    Tensor dx = t.gradient(x);
    const autograd::NoGradientScope forward_only;
    scale_in_place(dx, factor);
  });
}

void record_softcap_in_place(autograd::Tape& tape, const Tensor& x, float cap) {
  const auto backward = [x, cap](autograd::Tape& t) {
    Tensor dx = t.gradient(x);
    float* gradient = dx.as_mutable<float>().data();
    const float* capped = x.as<float>().data();
    const auto kernel = kernels::active_training().softcap_gradient;
    thread_pool().parallel_for(x.elements(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
      kernel(capped + begin, gradient + begin, cap, end - begin);
    });
  };
  tape.record_in_place(x, backward, {x});
}

void record_activate(autograd::Tape& tape, const Tensor& x, const Tensor& y, Activation activation) {
  tape.record({y}, {x}, [x, y, activation](autograd::Tape& t) {
    const ProfileTimer timer("activation backward");
    const Tensor dy = t.gradient(y);
    autograd::GradientWindow window = t.gradient_to_write(x);
    const float* values = x.as<float>().data();
    const float* upstream = dy.as<float>().data();
    float* target = window.values.as_mutable<float>().data();
    const auto kernel = kernels::active_training().activation_gradient[static_cast<std::size_t>(activation)];
    thread_pool().parallel_for(x.elements(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
      kernel(values + begin, upstream + begin, target + begin, end - begin, window.accumulate);
    });
  });
}

namespace {

// A place for a gradient that a kernel writes whole: the window itself, or memory that is then added to it.
Tensor place_of(const autograd::GradientWindow& window) {
  return window.accumulate ? Tensor::empty(window.values.shape()) : window.values;
}

}  // namespace

void record_gated(autograd::Tape& tape, const Tensor& gate, const Tensor& up, const Tensor& y,
                  Activation activation) {
  tape.record({y}, {gate, up}, [gate, up, y, activation](autograd::Tape& t) {
    const ProfileTimer timer("gated_activation backward");
    const Tensor dy = t.gradient(y);
    const auto place = [&](const Tensor& input) {
      return t.tracks(input) ? t.gradient_to_write(input)
                             : autograd::GradientWindow{Tensor::empty(input.shape()), false};
    };
    const autograd::GradientWindow gate_window = place(gate);
    const autograd::GradientWindow up_window = place(up);
    Tensor dgate = place_of(gate_window);
    Tensor dup = place_of(up_window);
    const float* gates = gate.as<float>().data();
    const float* ups = up.as<float>().data();
    const float* upstream = dy.as<float>().data();
    float* gate_target = dgate.as_mutable<float>().data();
    float* up_target = dup.as_mutable<float>().data();
    const auto kernel =
        kernels::active_training().gated_activation_gradient[static_cast<std::size_t>(activation)];
    thread_pool().parallel_for(y.elements(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
      kernel(gates + begin, ups + begin, upstream + begin, gate_target + begin, up_target + begin,
             end - begin);
    });
    if (gate_window.accumulate) add_gradient(gate_window, dgate);
    if (up_window.accumulate) add_gradient(up_window, dup);
  });
}

void record_gated(autograd::Tape& tape, const Tensor& gate_up, const Tensor& y, Activation activation) {
  tape.record({y}, {gate_up}, [gate_up, y, activation](autograd::Tape& t) {
    const ProfileTimer timer("gated_activation backward");
    const Tensor dy = t.gradient(y);
    const autograd::GradientWindow window = t.gradient_to_write(gate_up);
    Tensor gradient = place_of(window);
    const std::int64_t width = y.dim(1);
    const float* values = gate_up.as<float>().data();
    const float* upstream = dy.as<float>().data();
    float* target = gradient.as_mutable<float>().data();
    const auto kernel =
        kernels::active_training().gated_activation_gradient[static_cast<std::size_t>(activation)];
    thread_pool().parallel_for(y.dim(0), row_grain(width), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t at = row * 2 * width;
        kernel(values + at, values + at + width, upstream + row * width, target + at, target + at + width,
               width);
      }
    });
    if (window.accumulate) add_gradient(window, gradient);
  });
}

}  // namespace tessera::ops
