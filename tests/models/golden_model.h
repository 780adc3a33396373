// Golden models of tests/golden/models (tools/make_golden_models.py) and ways to run a model over a token
// sequence: in one call or in pieces, with or without a cache.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>
#include <numeric>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"
#include "formats/open_model_files.h"
#include "models/model.h"
#include "nn/attention/dense_attention.h"
#include "nn/attention/paged_attention.h"
#include "support/test_paths.h"

namespace tessera::testing {

inline std::filesystem::path golden_models_dir() { return golden_dir() / "models"; }

// Tokens T, the first `prompt` of them given and the rest the oracle's greedy choice, and its logits [T, V].
struct Golden {
  std::vector<TokenId> tokens;
  std::size_t prompt = 0;
  std::size_t vocabulary = 0;
  std::vector<float> logits;
};

inline Golden read_golden(const std::string& name) {
  const std::string bytes = read_file((golden_models_dir() / (name + ".golden")).string());
  std::int32_t header[3] = {};
  if (bytes.size() < sizeof(header)) fail(ErrorKind::bad_input, "{}: no golden values", name);
  std::memcpy(header, bytes.data(), sizeof(header));
  Golden golden;
  golden.tokens.resize(static_cast<std::size_t>(header[0]));
  golden.prompt = static_cast<std::size_t>(header[1]);
  golden.vocabulary = static_cast<std::size_t>(header[2]);
  golden.logits.resize(golden.tokens.size() * golden.vocabulary);
  const std::size_t token_bytes = golden.tokens.size() * sizeof(TokenId);
  if (bytes.size() != sizeof(header) + token_bytes + golden.logits.size() * sizeof(float)) {
    fail(ErrorKind::bad_input, "{}: golden values of another size", name);
  }
  std::memcpy(golden.tokens.data(), bytes.data() + sizeof(header), token_bytes);
  std::memcpy(golden.logits.data(), bytes.data() + sizeof(header) + token_bytes,
              golden.logits.size() * sizeof(float));
  return golden;
}

// A golden model under one naming scheme: "llama" and its folder, or "llama" and its .gguf file.
struct GoldenModel {
  std::string name;
  std::filesystem::path path;
  bool gguf() const { return path.extension() == ".gguf"; }
  friend void PrintTo(const GoldenModel& model, std::ostream* out) { *out << model.path.filename().string(); }
};

inline std::vector<GoldenModel> golden_models() {
  std::vector<GoldenModel> found;
  for (const auto& entry : std::filesystem::directory_iterator(golden_models_dir())) {
    if (entry.path().extension() != ".golden") continue;
    const std::string name = entry.path().stem().string();
    for (const std::string& form : {name, name + ".gguf"}) {
      if (std::filesystem::exists(golden_models_dir() / form))
        found.push_back({name, golden_models_dir() / form});
    }
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return found;
}

inline std::unique_ptr<models::Model> load_model(const std::filesystem::path& path,
                                                 std::int64_t context_size = 0,
                                                 models::WeightForm form = models::WeightForm::stored) {
  return models::create_model(*formats::open_model_files(path.string()).weights,
                              {.context_size = context_size, .weight_form = form});
}

// Runs one or more sequences through a model, in pieces of any size.
class SequenceRunner {
 public:
  explicit SequenceRunner(const models::Model& model) : model_(model) {}

  // Without a cache, in one call → logits [T, V].
  std::vector<float> dense(std::span<const TokenId> tokens) {
    nn::DenseAttention attention;
    return without_cache(tokens, attention);
  }
  std::vector<float> without_cache(std::span<const TokenId> tokens, nn::AttentionMechanism& attention) {
    return forward({std::vector<TokenId>(tokens.begin(), tokens.end())}, {0}, attention);
  }

  // On a float32 paged cache, `chunk` tokens at a time → logits [T, V].
  std::vector<float> paged(std::span<const TokenId> tokens, std::size_t chunk) {
    return paged(std::vector<std::vector<TokenId>>{{tokens.begin(), tokens.end()}}, chunk).front();
  }

  // Several sequences side by side in every call, `chunk` tokens of each → logits of each.
  std::vector<std::vector<float>> paged(const std::vector<std::vector<TokenId>>& sequences,
                                        std::size_t chunk) {
    make_cache(sequences.size());
    nn::PagedAttention attention(layers_, states_);
    std::vector<std::vector<float>> logits(sequences.size());
    const auto vocabulary = static_cast<std::size_t>(model_.config().vocab_size);
    for (std::size_t begin = 0;; begin += chunk) {
      std::vector<std::vector<TokenId>> pieces;
      std::vector<std::size_t> starts;
      std::vector<std::size_t> owners;
      for (std::size_t n = 0; n < sequences.size(); ++n) {
        if (begin >= sequences[n].size()) continue;
        const std::size_t end = std::min(begin + chunk, sequences[n].size());
        pieces.emplace_back(sequences[n].begin() + static_cast<std::ptrdiff_t>(begin),
                            sequences[n].begin() + static_cast<std::ptrdiff_t>(end));
        starts.push_back(begin);
        owners.push_back(n);
      }
      if (pieces.empty()) return logits;
      const std::vector<float> rows = forward(pieces, starts, attention, owners);
      auto next = rows.begin();
      for (std::size_t i = 0; i < pieces.size(); ++i) {
        const auto end = next + static_cast<std::ptrdiff_t>(pieces[i].size() * vocabulary);
        logits[owners[i]].insert(logits[owners[i]].end(), next, end);
        next = end;
      }
    }
  }

 private:
  static constexpr std::int64_t kBlockSize = kKeyGroup;
  static constexpr std::int64_t kBlocksPerSequence = 8;

  // Sequence n's i-th block, deliberately out of order.
  std::int32_t block(std::size_t n, std::int64_t i) const {
    const auto total = static_cast<std::int64_t>(sequences_) * kBlocksPerSequence;
    return static_cast<std::int32_t>(
        (i * static_cast<std::int64_t>(sequences_) + static_cast<std::int64_t>(n)) * 7 % total);
  }

  void make_cache(std::size_t sequences) {
    sequences_ = sequences;
    memory_.clear();
    layers_.clear();
    states_.clear();
    const std::int64_t blocks = static_cast<std::int64_t>(sequences) * kBlocksPerSequence;
    for (const models::KeyValueShape& shape : model_.config().layers) {
      KeyValueCacheLayer layer{.num_blocks = blocks,
                               .block_size = kBlockSize,
                               .num_key_value_heads = shape.num_key_value_heads,
                               .head_dim = shape.head_dim};
      const auto allocate = [&](std::int64_t head_bytes) {
        memory_.push_back(Tensor::zeros({blocks * shape.num_key_value_heads * head_bytes / 4}));
        return memory_.back().mutable_raw();
      };
      layer.keys = allocate(layer.head_key_bytes());
      layer.values = allocate(layer.head_value_bytes());
      layers_.push_back(layer);
      memory_.push_back(Tensor::empty({static_cast<std::int64_t>(sequences) * shape.state_floats}));
      const std::span<float> states = memory_.back().as_mutable<float>();
      std::ranges::fill(states, NAN);  // whoever begins a sequence must clear its state
      states_.push_back({states.data(), static_cast<std::int64_t>(sequences), shape.state_floats});
    }
  }

  std::vector<float> forward(const std::vector<std::vector<TokenId>>& pieces,
                             const std::vector<std::size_t>& starts, nn::AttentionMechanism& attention,
                             std::vector<std::size_t> owners = {0}) {
    std::vector<TokenId> tokens;
    std::vector<std::int32_t> positions, query_start = {0}, context_length, slots, tables, states;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      for (std::size_t t = 0; t < pieces[i].size(); ++t) {
        const auto position = static_cast<std::int64_t>(starts[i] + t);
        tokens.push_back(pieces[i][t]);
        positions.push_back(static_cast<std::int32_t>(position));
        const std::int64_t slot =
            sequences_ == 0 ? 0
                            : block(owners[i], position / kBlockSize) * kBlockSize + position % kBlockSize;
        slots.push_back(static_cast<std::int32_t>(slot));
      }
      query_start.push_back(static_cast<std::int32_t>(tokens.size()));
      context_length.push_back(positions.back() + 1);
      states.push_back(static_cast<std::int32_t>(sequences_ == 0 ? 0 : sequences_ - 1 - owners[i]));
      for (std::int64_t b = 0; b < kBlocksPerSequence; ++b)
        tables.push_back(sequences_ == 0 ? 0 : block(owners[i], b));
    }
    const RaggedBatch batch{tokens, positions, query_start,        context_length,
                            slots,  tables,    kBlocksPerSequence, states};
    const Tensor logits = model_.logits(model_.forward(batch, attention));
    const std::span<const float> values = logits.as<float>();
    return {values.begin(), values.end()};
  }

  const models::Model& model_;
  std::size_t sequences_ = 0;
  std::vector<Tensor> memory_;
  std::vector<KeyValueCacheLayer> layers_;
  std::vector<LinearStateLayer> states_;
};

// max |a - b| / max |b|, infinite when the sizes differ or a value is not a number.
inline double relative_difference(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return INFINITY;
  double largest = 0.0;
  double difference = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i])) return INFINITY;
    largest = std::max(largest, std::abs(static_cast<double>(b[i])));
    difference = std::max(difference, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  return difference / largest;
}

}  // namespace tessera::testing
