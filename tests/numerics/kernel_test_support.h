// What the kernel table tests share: fresh random inputs with a printed seed, misaligned buffers that notice
// writes outside of them, random weights of every type, and the list of ISAs to compare.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "base/float16.h"
#include "kernels/kernel_table.h"

namespace tessera {

// For the names that GoogleTest gives to cases.
inline void PrintTo(Isa isa, std::ostream* out) { *out << isa_name(isa); }

}  // namespace tessera

namespace tessera::kernels::emulated {

// emulated_tiles.cpp
void fill_packed(KernelTable& table);
void fill_attention(KernelTable& table);

}  // namespace tessera::kernels::emulated

namespace tessera::kernels::testing {

inline bool can_run(Isa isa) {
  const auto& isas = available_isas();
  return std::find(isas.begin(), isas.end(), isa) != isas.end();
}

// The table of `isa`. Where AVX-512 is there but AMX is not, the tile kernels run on emulated tiles.
inline const KernelTable& table_under_test(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::amx && !can_run(isa)) {
    static const KernelTable emulated_table = [] {
      KernelTable made = table(Isa::avx512);
      made.isa = Isa::amx;
      emulated::fill_packed(made);
      emulated::fill_attention(made);
      return made;
    }();
    return emulated_table;
  }
#endif
  return table(isa);
}

// What this CPU can run, and tiles, emulated if they must be.
inline std::vector<Isa> isas_and_tiles() {
  std::vector<Isa> isas = available_isas();
  if (can_run(Isa::avx512) && !can_run(Isa::amx)) isas.push_back(Isa::amx);
  return isas;
}

inline constexpr double kUnitRoundoff = 0x1p-24;  // of float32, to nearest

// A fresh seed every run; TESSERA_TEST_SEED repeats one.
inline std::uint64_t fresh_seed() {
  const char* wanted = std::getenv("TESSERA_TEST_SEED");
  return wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : std::random_device{}();
}

class KernelTest : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override { RecordProperty("seed", std::to_string(seed_)); }

  std::vector<float> normal(std::int64_t count, float deviation = 1.0F) {
    std::normal_distribution<float> distribution(0.0F, deviation);
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) value = distribution(random_);
    return values;
  }
  std::int64_t uniform(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random_);
  }
  // `rows` rows of `elements`: plain types hold normal values, block types random bits under finite scales.
  std::vector<std::byte> weights(DType dtype, std::int64_t rows, std::int64_t elements);

  const KernelTable& fast() const { return table_under_test(GetParam()); }
  static const KernelTable& reference() { return table(Isa::scalar); }
  std::string where() const {
    return std::string(isa_name(GetParam())) + ", TESSERA_TEST_SEED=" + std::to_string(seed_);
  }

 private:
  std::uint64_t seed_ = fresh_seed();
  std::mt19937_64 random_{seed_};
};

// Byte offsets of the f16 scales in a block of each quantised type.
inline std::vector<std::size_t> scale_offsets(DType dtype) {
  switch (dtype) {
    case DType::q4_1:
    case DType::q5_1:
    case DType::q4_k:
    case DType::q5_k:
      return {0, 2};
    case DType::q2_k:
      return {80, 82};
    case DType::q3_k:
      return {108};
    case DType::q6_k:
      return {208};
    default:
      return {0};
  }
}

inline std::vector<std::byte> KernelTest::weights(DType dtype, std::int64_t rows, std::int64_t elements) {
  const auto& type = traits(dtype);
  std::vector<std::byte> bytes(row_bytes(dtype, elements) * static_cast<std::size_t>(rows));
  if (!type.quantized) {
    const std::vector<float> values = normal(rows * elements);
    table(Isa::scalar).narrow[static_cast<std::size_t>(dtype)](values.data(), bytes.data(), rows * elements);
    return bytes;
  }
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(uniform(0, 255));
  for (std::size_t block = 0; block < bytes.size(); block += type.block_bytes) {
    for (const std::size_t offset : scale_offsets(dtype)) {
      const std::uint16_t scale = f32_to_f16(normal(1, 0.1F)[0]);
      std::memcpy(bytes.data() + block + offset, &scale, sizeof(scale));
    }
  }
  return bytes;
}

// `count` elements at an address that is `misalignment` elements past a 64-byte border, poisoned; guards on
// both sides must still hold the poison afterwards.
template <typename T>
class GuardedBuffer {
 public:
  GuardedBuffer(std::int64_t count, std::int64_t misalignment)
      : memory_(static_cast<std::size_t>(count) + 2 * kGuard + 2 * kLine, poison()), count_(count) {
    const std::size_t past_line = reinterpret_cast<std::uintptr_t>(memory_.data() + kGuard) % 64 / sizeof(T);
    start_ = kGuard + (kLine - past_line) + static_cast<std::size_t>(misalignment) % kLine;
  }
  explicit GuardedBuffer(const std::vector<T>& values, std::int64_t misalignment)
      : GuardedBuffer(static_cast<std::int64_t>(values.size()), misalignment) {
    std::copy(values.begin(), values.end(), data());
  }

  T* data() { return memory_.data() + start_; }
  const T* data() const { return memory_.data() + start_; }
  std::vector<T> values() const { return {data(), data() + count_}; }

  bool guards_intact() const {
    for (std::size_t i = 0; i < memory_.size(); ++i) {
      const bool inside = i >= start_ && i < start_ + static_cast<std::size_t>(count_);
      const T expected = poison();
      if (!inside && std::memcmp(&memory_[i], &expected, sizeof(T)) != 0) return false;
    }
    return true;
  }

 private:
  static constexpr std::size_t kGuard = 32;
  static constexpr std::size_t kLine = 64 / sizeof(T);
  static T poison() {
    if constexpr (std::is_same_v<T, float>) {
      return std::bit_cast<float>(0x7fc0dead);  // a NaN
    } else {
      return static_cast<T>(0xA5);
    }
  }

  std::vector<T> memory_;
  std::size_t start_ = 0;
  std::int64_t count_;
};

inline std::string isa_test_name(const ::testing::TestParamInfo<Isa>& parameter) {
  return std::string(isa_name(parameter.param)) + (can_run(parameter.param) ? "" : "_emulated");
}

}  // namespace tessera::kernels::testing
