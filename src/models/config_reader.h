// Reads a model's configuration by its Hugging Face key, whichever naming scheme the file uses, and checks
// that each value lies where a model can live. A value we do not know how to run is an Error that names it,
// never a default.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ops/activation.h"
#include "tensor/weight_source.h"

namespace tessera::models {

// Bounds far above any real model and far below what could overflow a product of three of them.
inline constexpr std::int64_t kLargestDimension = std::int64_t{1} << 24;  // hidden, intermediate, vocabulary
inline constexpr std::int64_t kLargestCount = std::int64_t{1} << 14;      // layers, heads
inline constexpr std::int64_t kLargestHeadDim = std::int64_t{1} << 14;
inline constexpr std::int64_t kLargestPosition = std::int64_t{1} << 30;  // positions are int32

// GGUF's key for a Hugging Face one, or for one that only GGUF has: ("hidden_size", "llama") is
// "llama.embedding_length"; empty when there is none.
std::string gguf_config_key(std::string_view key, std::string_view architecture);

class ConfigReader {
 public:
  // `source` must outlive the reader. Error unsupported: a quantization_config (GPTQ, AWQ, ...), or experts.
  explicit ConfigReader(const WeightSource& source);

  bool is_gguf() const { return source_.naming() == NamingScheme::gguf; }
  const WeightSource& source() const { return source_; }
  const std::string& origin() const { return source_.origin(); }
  const Metadata& metadata() const { return source_.metadata(); }

  // The key as this file writes it: "hidden_size" or "llama.embedding_length"; empty when GGUF has none for
  // it.
  std::string file_key(std::string_view key) const;
  bool contains(std::string_view key) const;

  // An integer within [1, high]. Error bad_input: missing, another type, out of range.
  std::int64_t dimension(std::string_view key, std::int64_t high = kLargestDimension) const;
  std::int64_t dimension_or(std::string_view key, std::int64_t fallback,
                            std::int64_t high = kLargestDimension) const;
  // nullopt when missing or null; otherwise within [low, high].
  std::optional<std::int64_t> find_integer(std::string_view key, std::int64_t low, std::int64_t high) const;
  // A finite number above zero.
  double positive(std::string_view key) const;
  double positive_or(std::string_view key, double fallback) const;
  std::optional<double> find_positive(std::string_view key) const;
  // As positive_or, but null says none: 0.
  double positive_or_none(std::string_view key, double when_missing) const;
  // A sliding window: 0 for null or 0 (sees everything), `when_missing` where the file does not say.
  std::int64_t window_or(std::string_view key, std::int64_t when_missing) const;
  // layer_types: whether each layer slides; nullopt when the file does not say. Error unsupported for other
  // kinds.
  std::optional<std::vector<bool>> sliding_layers(std::int64_t num_hidden_layers) const;
  bool boolean_or(std::string_view key, bool fallback) const;
  std::string_view text_or(std::string_view key, std::string_view fallback) const;
  // hidden_act and its relatives. Error unsupported naming file, key and value.
  ops::Activation activation(std::string_view key, std::string_view fallback) const;

  // Error unsupported when the key is there and true.
  void forbid_true(std::string_view key) const;
  // Error unsupported "file: key 'k' at byte N: expected ..., found ...".
  [[noreturn]] void unsupported(std::string_view key, std::string_view expected,
                                std::string_view found) const;
  // Error bad_input of the same form.
  [[noreturn]] void wrong(std::string_view key, std::string_view expected, std::string_view found) const;

 private:
  bool contains_null(std::string_view key) const;

  const WeightSource& source_;
};

}  // namespace tessera::models
