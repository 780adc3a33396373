// Packed weights of plain types: column k of a panel is 16 elements side by side. Nothing is rounded, so the
// kernel is the product of kernels/ref/linear.cpp on other addresses.
#include <cstring>
#include <vector>

#include "kernels/ref/block_fields.h"
#include "kernels/ref/ref.h"

namespace tessera::kernels::ref {
namespace {

// Columns taken from one row before the next: a cache line or two of the row, whole lines of the panel.
constexpr std::int64_t kColumnsAtOnce = 16;

template <typename Element>
void pack(const PackArguments& arguments) {
  const std::int64_t columns = arguments.in_features;
  for (std::int64_t panel = arguments.panel_begin; panel < arguments.panel_end; ++panel) {
    const std::int64_t first = panel * kPanelRows;
    const std::int64_t rows = arguments.rows - first < kPanelRows ? arguments.rows - first : kPanelRows;
    constexpr auto kBytes = static_cast<std::int64_t>(sizeof(Element));
    std::byte* target = arguments.packed + panel * columns * kPanelRows * kBytes;
    if (rows < kPanelRows) std::memset(target, 0, static_cast<std::size_t>(columns * kPanelRows * kBytes));
    for (std::int64_t begin = 0; begin < columns; begin += kColumnsAtOnce) {
      const std::int64_t end = begin + kColumnsAtOnce < columns ? begin + kColumnsAtOnce : columns;
      for (std::int64_t lane = 0; lane < rows; ++lane) {
        const std::byte* source = arguments.stored + (first + lane) * columns * kBytes;
        for (std::int64_t k = begin; k < end; ++k) {
          std::memcpy(target + (k * kPanelRows + lane) * kBytes, source + k * kBytes, sizeof(Element));
        }
      }
    }
  }
}

template <typename Element>
void unpack_row(const std::byte* packed, std::byte* stored, std::int64_t in_features, std::int64_t row) {
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(Element));
  const std::byte* lane = packed + (row / kPanelRows * in_features * kPanelRows + row % kPanelRows) * kBytes;
  for (std::int64_t k = 0; k < in_features; ++k) {
    std::memcpy(stored + k * kBytes, lane + k * kPanelRows * kBytes, sizeof(Element));
  }
}

template <typename Element, DequantizeKernel kWiden>
void packed_linear(const PackedLinearArguments& arguments) {
  std::vector<std::byte> stored(static_cast<std::size_t>(arguments.in_features) * sizeof(Element));
  std::vector<float> row(static_cast<std::size_t>(arguments.in_features));
  for (std::int64_t n = arguments.row_begin; n < arguments.row_end; ++n) {
    unpack_row<Element>(arguments.weight, stored.data(), arguments.in_features, n);
    kWiden(stored.data(), row.data(), arguments.in_features);
    const std::int64_t column = n - arguments.first_row;
    for (std::int64_t t = 0; t < arguments.tokens; ++t) {
      const std::byte* x = arguments.input + t * arguments.input_stride;
      double sum = 0;
      for (std::size_t k = 0; k < row.size(); ++k) {
        float value = 0;
        std::memcpy(&value, x + sizeof(float) * k, sizeof(value));
        sum += double{value} * double{row[k]};
      }
      if (arguments.bias != nullptr) sum += double{arguments.bias[column]};
      arguments.output[t * arguments.output_stride + column] = static_cast<float>(sum);
    }
  }
}

template <typename Element, DequantizeKernel kWiden>
PackedKernels kernels_of() {
  return {.input = InputForm::floats,
          .block_elements = 1,
          .panel_block_bytes = kPanelRows * static_cast<std::int64_t>(sizeof(Element)),
          .pack = pack<Element>,
          .unpack_row = unpack_row<Element>,
          .linear = packed_linear<Element, kWiden>};
}

}  // namespace

void fill_packed_floats(KernelTable& table) {
  table.packed[static_cast<std::size_t>(DType::f32)] = kernels_of<float, dequantize_f32>();
  table.packed[static_cast<std::size_t>(DType::f16)] = kernels_of<std::uint16_t, dequantize_f16>();
  table.packed[static_cast<std::size_t>(DType::bf16)] = kernels_of<std::uint16_t, dequantize_bf16>();
}

}  // namespace tessera::kernels::ref
