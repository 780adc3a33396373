#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <new>
#include <random>

#include "base/error.h"
#include "describe_source.h"
#include "formats/gguf.h"
#include "formats/gguf_writer.h"
#include "formats/mapped_weights.h"
#include "formats/safetensors.h"
#include "formats/safetensors_writer.h"
#include "support/error_of.h"

namespace {
// The largest single allocation of this program since it was last set to zero.
std::atomic<std::size_t> largest_allocation{0};  // NOLINT: operator new has no other place

}  // namespace

// AddressSanitizer has an allocator of its own, which also bounds what it gives: there nothing is counted.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TESSERA_ADDRESS_SANITIZER 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define TESSERA_ADDRESS_SANITIZER 1
#endif

#if !defined(TESSERA_ADDRESS_SANITIZER)
namespace {
void* counted_allocation(std::size_t size, std::size_t alignment) {
  std::size_t seen = largest_allocation.load();
  while (size > seen && !largest_allocation.compare_exchange_weak(seen, size)) {
  }
  const std::size_t rounded = (std::max<std::size_t>(size, 1) + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, rounded);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
}  // namespace

// The replaced pair does belong together; g++ 12 loses sight of that where sanitizers keep it from inlining.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

void* operator new(std::size_t size) { return counted_allocation(size, alignof(std::max_align_t)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return counted_allocation(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
#endif

namespace tessera::formats {
namespace {

using testing::error_of;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::size_t kMostMemory = 64 << 20;

using Random = std::mt19937_64;
using Open = std::function<std::shared_ptr<const WeightSource>(const std::string& bytes)>;

const std::string kName = "mutated.file";

std::shared_ptr<const WeightSource> open_mutated_gguf(const std::string& bytes) {
  return open_gguf(MappedFile::from_bytes(kName, bytes));
}

std::shared_ptr<const WeightSource> open_mutated_safetensors(const std::string& bytes) {
  const auto file = MappedFile::from_bytes(kName, bytes);
  SafetensorsHeader header = read_safetensors_header(*file);
  return std::make_shared<MappedWeights>(
      MappedWeights::Description{NamingScheme::hugging_face, kName, "test", Metadata(kName, file), {}},
      std::vector{file}, std::move(header.tensors));
}

std::string small_gguf() {
  GgufWriter writer("llama");
  writer.set("llama.block_count", std::int64_t{2});
  writer.set("tokenizer.ggml.tokens", Metadata::StringArray{"a", "bc", "def"});
  writer.set("tokenizer.ggml.scores", Metadata::FloatArray{0.5, 1.5, 2.5});
  writer.set("flag", true);
  writer.add_tensor("a.weight", Tensor::zeros({2, 4}));
  writer.add_tensor("b.weight", Tensor::zeros({1, 64}, DType::q4_0));
  writer.add_tensor("c", Tensor::zeros({3}, DType::f16));
  return writer.bytes();
}

std::string small_safetensors() {
  SafetensorsWriter writer;
  writer.set_metadata("format", "pt");
  writer.add_tensor("a.weight", Tensor::zeros({2, 4}));
  writer.add_tensor("b.weight", Tensor::zeros({3, 5}, DType::bf16));
  writer.add_tensor("c", Tensor::zeros({3}, DType::u8));
  return writer.bytes();
}

template <typename Number>
Number random_below(Random& random, Number limit) {
  return std::uniform_int_distribution<Number>(0, limit - 1)(random);
}

// Values that break size arithmetic, offsets and types.
std::uint64_t nasty_number(Random& random) {
  static constexpr std::uint64_t kValues[] = {
      0,          1,          2,          7,          13,    255,        0x7fffffff, 0x80000000, 0xffffffff,
      1ULL << 32, 1ULL << 61, 1ULL << 62, 1ULL << 63, ~0ULL, ~0ULL - 31, 1ULL << 31, 40,         1000};
  return kValues[random_below(random, std::size(kValues))];
}

// Bytes changed, numbers replaced, pieces cut, doubled or moved: one to four of these.
std::string mutate(const std::string& original, Random& random) {
  std::string bytes = original;
  const int changes = 1 + random_below(random, 4);
  for (int change = 0; change < changes && !bytes.empty(); ++change) {
    const std::size_t place = random_below(random, bytes.size());
    const std::size_t length = std::min<std::size_t>(bytes.size() - place, 1 + random_below(random, 40));
    switch (random_below(random, 7)) {
      case 0:
        bytes[place] = static_cast<char>(random());
        break;
      case 1:
        bytes[place] = static_cast<char>(bytes[place] ^ (1 << random_below(random, 8)));
        break;
      case 2:
      case 3: {
        const std::uint64_t number = nasty_number(random);
        const std::size_t width = random_below(random, 2) == 0 ? 4 : 8;
        bytes.replace(place, std::min(width, bytes.size() - place), reinterpret_cast<const char*>(&number),
                      std::min(width, bytes.size() - place));
        break;
      }
      case 4:
        bytes.erase(place, length);
        break;
      case 5:
        bytes.insert(random_below(random, bytes.size()), bytes.substr(place, length));
        break;
      default:
        bytes.replace(place, length, bytes.substr(random_below(random, bytes.size()), length));
        break;
    }
  }
  return bytes;
}

// In a JSON header: a number, a quoted word or a sign replaced by another, so that it stays JSON more often.
std::string mutate_json(const std::string& original, Random& random) {
  static const std::vector<std::string> kPieces = {"0",
                                                   "-1",
                                                   "1e9",
                                                   "18446744073709551615",
                                                   "4611686018427387904",
                                                   "\"F64\"",
                                                   "\"BOOL\"",
                                                   "\"F8_E4M3\"",
                                                   "\"a.weight\"",
                                                   "\"dtype\"",
                                                   "\"shape\"",
                                                   "[]",
                                                   "{}",
                                                   "null",
                                                   ",",
                                                   ":",
                                                   "[4294967296,4294967296]",
                                                   "\"__metadata__\"",
                                                   "[[[["};
  std::uint64_t length = 0;
  std::memcpy(&length, original.data(), sizeof length);
  std::string header = original.substr(8, length);
  const std::string data = original.substr(8 + length);
  const std::size_t place = header.find_first_of("0123456789\"[{,:", random_below(random, header.size()));
  if (place != std::string::npos) {
    const std::size_t end = std::min(header.find_first_of(",:]}", place + 1), header.size());
    header.replace(place, end - place, kPieces[random_below(random, kPieces.size())]);
  }
  length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + data;
}

// A rejected file names itself in one line; an accepted one gives every tensor it lists, from within the
// file.
void expect_rejected_or_whole(const Open& open, const std::string& bytes, int& accepted) {
  try {
    const auto source = open(bytes);
    ++accepted;
    for (const TensorInfo& info : source->tensors()) {
      ASSERT_LE(info.offset + info.bytes, bytes.size()) << info.name;
      const Tensor tensor = source->load(info.name);
      ASSERT_EQ(tensor.bytes(), tensor_bytes(info.shape, info.dtype)) << info.name;
      ASSERT_EQ(hex(tensor), hex(std::as_bytes(std::span(bytes).subspan(info.offset, info.bytes))))
          << info.name;
    }
  } catch (const Error& error) {
    ASSERT_THAT(error.what(), HasSubstr(kName));
    ASSERT_THAT(error.what(), Not(HasSubstr("\n")));
    ASSERT_NE(error.kind(), ErrorKind::internal) << error.what();
  }
}

void run_mutations(const std::string& original, const Open& open, std::size_t count,
                   const std::function<std::string(const std::string&, Random&)>& change) {
  int accepted = 0;
  largest_allocation = 0;
  for (std::size_t seed = 0; seed < count; ++seed) {
    Random random(seed);
    const std::string bytes = change(original, random);
    expect_rejected_or_whole(open, bytes, accepted);
    if (::testing::Test::HasFatalFailure()) FAIL() << "seed " << seed;
  }
  EXPECT_LT(largest_allocation.load(), kMostMemory);
  // A check on the mutations themselves: some miss everything that matters, most do not.
  EXPECT_GT(accepted, 0);
  EXPECT_LT(static_cast<std::size_t>(accepted), count);
}

TEST(Mutations, FourThousandGgufFilesAreRejectedOrRead) {
  run_mutations(small_gguf(), open_mutated_gguf, 4000, mutate);
}

TEST(Mutations, ThreeThousandSafetensorsFilesAreRejectedOrRead) {
  run_mutations(small_safetensors(), open_mutated_safetensors, 3000, mutate);
}

TEST(Mutations, ThreeThousandSafetensorsHeadersAreRejectedOrRead) {
  run_mutations(small_safetensors(), open_mutated_safetensors, 3000, mutate_json);
}

// Untouched tensors of an accepted file hold what they held: here only the data of one tensor changes.
TEST(Mutations, ChangedDataOfOneTensorLeavesTheOthers) {
  const std::string original = small_gguf();
  const auto before = open_mutated_gguf(original);
  for (const TensorInfo& changed : before->tensors()) {
    std::string bytes = original;
    for (std::size_t i = 0; i < changed.bytes; ++i) bytes[changed.offset + i] = '\x5a';
    const auto after = open_mutated_gguf(bytes);
    for (const TensorInfo& info : before->tensors()) {
      EXPECT_EQ(hex(before->load(info.name)) == hex(after->load(info.name)), info.name != changed.name)
          << info.name;
    }
  }
}

void expect_every_truncation_rejected(const std::string& whole, const Open& open) {
  EXPECT_NO_THROW(open(whole));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const std::string error = error_of([&] { open(whole.substr(0, length)); });
    ASSERT_THAT(error, HasSubstr(kName)) << length;
    ASSERT_THAT(error, HasSubstr(" at byte ")) << length;
  }
}

TEST(Truncation, EveryByteOfASmallSafetensorsFile) {
  expect_every_truncation_rejected(small_safetensors(), open_mutated_safetensors);
}

TEST(Truncation, EveryByteOfASmallGgufFile) {
  GgufWriter writer("llama", 8);
  writer.set("tokenizer.ggml.tokens", Metadata::StringArray{"a", "bc"});
  writer.add_tensor("a", Tensor::zeros({2, 4}));
  writer.add_tensor("b",
                    Tensor::zeros({64}, DType::q8_0));  // 68 bytes: 4 of padding follow, which may be missing
  std::string whole = writer.bytes();
  whole.resize(whole.size() - 4);
  expect_every_truncation_rejected(whole, open_mutated_gguf);
}

// The default model cut at the beginning and within each of its tensors; the copy is sparse, only its header
// is real.
TEST(Truncation, EveryTensorBoundaryOfTheDefaultModel) {
  const auto path = testing::default_model();
  if (!path) GTEST_SKIP() << "the default model is not there";
  const auto whole = MappedFile::open(path->string());
  const auto source = open_gguf(whole);
  std::vector<std::uint64_t> lengths{whole->bytes().size() - 1};
  for (const TensorInfo& info : source->tensors()) {
    lengths.push_back(info.offset);
    lengths.push_back(info.offset + info.bytes / 2);
    lengths.push_back(info.offset + info.bytes - 1);
  }
  std::ranges::sort(lengths, std::ranges::greater{});
  const testing::TemporaryFolder folder;
  const std::string copy = (folder.path() / "cut.gguf").string();
  const std::uint64_t header = source->tensors().front().offset;
  std::ofstream(copy, std::ios::binary).write(whole->text().data(), static_cast<std::streamsize>(header));
  std::filesystem::resize_file(copy, whole->bytes().size());
  EXPECT_NO_THROW(open_gguf(MappedFile::open(copy)));
  for (const std::uint64_t length : lengths) {
    std::filesystem::resize_file(copy, length);
    const std::string error = error_of([&] { open_gguf(MappedFile::open(copy)); });
    ASSERT_THAT(error, HasSubstr("cut.gguf: tensor '")) << length;
    ASSERT_THAT(error, HasSubstr(fmt::format("within the file of {} bytes", length)));
  }
}

TEST(Truncation, AFileMadeShorterWhileItIsOpenIsAnErrorAtTheNextTensor) {
  const testing::TemporaryFolder folder;
  const std::string path = (folder.path() / "shrinks.gguf").string();
  GgufWriter writer("llama");
  writer.add_tensor("big", Tensor::zeros({64, 1024}));
  writer.write(path);
  const auto source = open_gguf(MappedFile::open(path));
  EXPECT_EQ(source->load("big").as<float>()[65535], 0.0F);
  std::filesystem::resize_file(path, 4096);
  EXPECT_THAT(error_of([&] { (void)source->load("big"); }), HasSubstr("shrinks.gguf: expected 262"));
}

}  // namespace
}  // namespace tessera::formats
