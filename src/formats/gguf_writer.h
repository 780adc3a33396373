// Writes GGUF files (version 3, little-endian): metadata, then aligned tensors.
#pragma once
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/metadata.h"
#include "formats/gguf_types.h"
#include "formats/tensor_to_write.h"

namespace tessera::formats {

class GgufWriter {
 public:
  // Sets general.architecture. `alignment` of the tensors: a power of two of at least 8.
  explicit GgufWriter(std::string_view architecture, std::uint64_t alignment = kGgufDefaultAlignment);

  // `type` is that of the value or of the array's elements; without it integers become u32 where they fit
  // (then i32, i64), floats f32, as other readers expect. Error bad_usage: a key set twice, null, or a value
  // the type cannot hold.
  void set(std::string_view key, const Metadata::Value& value,
           std::optional<GgufValueType> type = std::nullopt);
  // Error unsupported: a dtype GGUF does not have; bad_usage: a name twice, or more than 4 dimensions.
  void add_tensor(std::string name, const Tensor& tensor);
  void add_tensor(TensorToWrite tensor);

  // Error io. The file is there completely or not at all.
  void write(const std::string& path) const;
  // The same bytes in memory, for tests.
  std::string bytes() const;

 private:
  void send(const ByteSink& sink) const;
  std::string header() const;

  std::uint64_t alignment_;
  std::set<std::string, std::less<>> keys_;
  std::set<std::string, std::less<>> names_;  // of tensors
  std::string pairs_;                         // encoded
  std::vector<TensorToWrite> tensors_;
};

}  // namespace tessera::formats
