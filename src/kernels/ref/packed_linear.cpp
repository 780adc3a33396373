// y = x Wᵀ + b on packed weights: what kernel_table.h and packed_layout.h say, with sums kept in double.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/ref/packed.h"
#include "kernels/ref/packed_k_quants.h"
#include "kernels/ref/ref.h"

namespace tessera::kernels::ref {
namespace {

// One block of 32 elements: the bits of the largest magnitude are compared as integers, so that a NaN counts
// as larger than everything and ends up in the scale.
float largest_magnitude(const float* x) {
  std::uint32_t largest = 0;
  for (std::int64_t k = 0; k < kInputBlock; ++k) {
    largest = std::max(largest, std::bit_cast<std::uint32_t>(x[k]) & 0x7fffffffU);
  }
  return std::bit_cast<float>(largest);
}

template <InputForm kForm>
void quantize_input(const float* x, std::byte* target, std::int64_t count) {
  constexpr std::int64_t kGroup = InputLayout::group(kForm);
  constexpr auto kLimit = static_cast<float>(kInputLimit);
  const InputLayout layout(kForm, count);
  for (std::int64_t block = 0; block < count / kInputBlock; ++block) {
    const float largest = largest_magnitude(x + block * kInputBlock);
    const bool vanishes = largest < kSmallestInput;
    const float scale = vanishes ? 0.0F : largest / kLimit;
    const float inverse = vanishes ? 0.0F : kLimit / largest;
    std::memcpy(target + layout.scales + 4 * block, &scale, sizeof(scale));
    for (std::int64_t first = 0; first < kInputBlock; first += kGroup) {
      std::int32_t sum = 0;
      for (std::int64_t j = 0; j < kGroup; ++j) {
        const std::int64_t k = block * kInputBlock + first + j;
        const float scaled = std::nearbyint(x[k] * inverse);
        const auto q = static_cast<std::int16_t>(std::isfinite(scaled) ? scaled : 0.0F);
        sum += q;
        std::memcpy(target + 2 * k, &q, sizeof(q));
      }
      const std::int64_t group = (block * kInputBlock + first) / kGroup;
      const std::int32_t negated = -sum;
      const float scaled_sum = scale * static_cast<float>(sum);
      std::memcpy(target + layout.sums + 4 * group, &negated, sizeof(negated));
      std::memcpy(target + layout.scaled_sums + 4 * group, &scaled_sum, sizeof(scaled_sum));
    }
  }
}

template <typename Element>
Element element_at(const std::byte* array, std::int64_t index) {
  Element value{};
  std::memcpy(&value, array + index * static_cast<std::int64_t>(sizeof(Element)), sizeof(Element));
  return value;
}

// One output: the dot product of an input row with row `lane` of a panel.
template <typename Type>
double dot(const std::byte* panel, std::int64_t lane, const std::byte* input, std::int64_t count) {
  constexpr InputForm kForm = Type::kInput;
  constexpr std::int64_t kGroup = InputLayout::group(kForm);
  const InputLayout layout(kForm, count);
  double sum = 0;
  for (std::int64_t first = 0; first < count; first += kGroup) {
    std::int64_t products = 0;
    const std::byte* block = panel + first / Type::kElements * Type::kPanelBytes;
    for (std::int64_t k = first; k < first + kGroup; ++k) {
      const int q = element_at<std::int16_t>(input, k);
      products += std::int64_t{q} * Type::integer(block, lane, k % Type::kElements);
    }
    const double scale = element_at<float>(input + layout.scales, first / kInputBlock);
    sum += static_cast<double>(products) * Type::scale(block, lane, first % Type::kElements) * scale;
    if constexpr (Type::kHasMinimum) {
      sum += Type::minimum(block, lane, first % Type::kElements) *
             double{element_at<float>(input + layout.scaled_sums, first / kGroup)};
    }
  }
  return sum;
}

template <typename Type>
void packed_linear(const PackedLinearArguments& arguments) {
  const std::int64_t panel_bytes = arguments.in_features / Type::kElements * Type::kPanelBytes;
  for (std::int64_t n = arguments.row_begin; n < arguments.row_end; ++n) {
    const std::byte* panel = arguments.weight + n / kPanelRows * panel_bytes;
    const std::int64_t column = n - arguments.first_row;
    for (std::int64_t t = 0; t < arguments.tokens; ++t) {
      double sum = dot<Type>(panel, n % kPanelRows, arguments.input + t * arguments.input_stride,
                             arguments.in_features);
      if (arguments.bias != nullptr) sum += double{arguments.bias[column]};
      arguments.output[t * arguments.output_stride + column] = static_cast<float>(sum);
    }
  }
}

template <typename Type>
void set(KernelTable& table, DType dtype) {
  table.packed[static_cast<std::size_t>(dtype)] = {.input = Type::kInput,
                                                   .block_elements = Type::kElements,
                                                   .panel_block_bytes = Type::kPanelBytes,
                                                   .pack = pack<Type>,
                                                   .unpack_row = unpack_row<Type>,
                                                   .linear = packed_linear<Type>};
}

}  // namespace

void fill_packed(KernelTable& table) {
  set<PackedQ4_0>(table, DType::q4_0);
  set<PackedQ4_1>(table, DType::q4_1);
  set<PackedQ5_0>(table, DType::q5_0);
  set<PackedQ5_1>(table, DType::q5_1);
  set<PackedQ8_0>(table, DType::q8_0);
  set<PackedIq4Nl>(table, DType::iq4_nl);
  set<PackedQ2K>(table, DType::q2_k);
  set<PackedQ3K>(table, DType::q3_k);
  set<PackedQ4K>(table, DType::q4_k);
  set<PackedQ5K>(table, DType::q5_k);
  set<PackedQ6K>(table, DType::q6_k);
  const auto set_form = [&](InputForm form, QuantizeInputKernel kernel) {
    table.quantize_input[static_cast<std::size_t>(form)] = kernel;
  };
  set_form(InputForm::sums_of_32, quantize_input<InputForm::sums_of_32>);
  set_form(InputForm::sums_of_16, quantize_input<InputForm::sums_of_16>);
  set_form(InputForm::words, quantize_words);
}

}  // namespace tessera::kernels::ref
