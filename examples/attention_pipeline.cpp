// From a text to attention and back, every step by hand: characters to ids, windows of 32 tokens, batches of
// 2, an embedding 32 wide, and grouped attention (4 query heads over 2 key/value heads, rotary positions).
// The same tokens go through it at once, without a cache, and one by one with a cache: the outputs are equal.
#include <cmath>
#include <cstdio>
#include <random>

#include "base/mapped_file.h"
#include "engine/key_value_cache.h"
#include "nn/attention/dense_attention.h"
#include "nn/attention/paged_attention.h"
#include "nn/attention/self_attention.h"
#include "nn/embedding.h"
#include "text/tokenizer_json.h"
#include "text/tokenizer_training.h"
#include "train/data_loader.h"

using namespace tessera;

Tensor random_matrix(std::int64_t rows, std::int64_t columns) {
  static std::mt19937 random(1);
  std::normal_distribution<float> normal(0.0F, 1.0F / std::sqrt(static_cast<float>(columns)));
  Tensor matrix = Tensor::empty({rows, columns});
  for (float& value : matrix.as_mutable<float>()) value = normal(random);
  return matrix;
}

int main() {
  constexpr std::int64_t T = 32, B = 2, C = 32, H = 4, K = 2, D = C / H;
  const std::string_view text = "A text becomes tokens, tokens windows, windows batches.";
  const auto trained = text::train_characters(std::span(&text, 1), {});
  const auto tokenizer = text::read_tokenizer_json(MappedFile::from_bytes("text", trained.tokenizer_json));
  const std::vector<TokenId> ids = tokenizer->encode(text);
  const train::TokenDataset windows(ids, {.seq_len = T, .stride = T / 2});
  train::DataLoader loader(windows, {.batch_size = B, .seed = 1});
  train::Batch batch;
  loader.next(batch);
  std::printf("%zu tokens, %d windows\n", ids.size(), static_cast<int>(windows.size()));

  const nn::Embedding embedding(random_matrix(windows.vocabulary_size(), C));
  nn::SelfAttention attention;
  attention.q_proj = nn::Linear(random_matrix(H * D, C));
  attention.k_proj = nn::Linear(random_matrix(K * D, C));
  attention.v_proj = nn::Linear(random_matrix(K * D, C));
  attention.o_proj = nn::Linear(random_matrix(C, H * D));
  nn::RotaryParameters rotary;
  rotary.rotary_dim = D;
  attention.rotary = std::make_shared<nn::RotaryEmbedding>(rotary);
  attention.head_dim = D;
  attention.parameters.scale = 1.0F / std::sqrt(static_cast<float>(D));

  std::vector<std::int32_t> positions(B * T);
  for (std::int64_t i = 0; i < B * T; ++i) positions[i] = static_cast<std::int32_t>(i % T);
  const std::vector<std::int32_t> starts = {0, T, 2 * T}, lengths = {T, T};
  nn::DenseAttention dense;
  const RaggedBatch whole{batch.inputs, positions, starts, lengths, {}, {}, 0};
  const Tensor at_once = attention(0, embedding(batch.inputs), whole, dense);  // [B * T, C]

  const models::KeyValueShape shape{.num_key_value_heads = K, .head_dim = D};
  engine::KeyValueCache cache(
      std::span(&shape, 1),
      {.tokens = B * T, .block_size = 16, .key_dtype = DType::f32, .value_dtype = DType::f32});
  nn::PagedAttention paged(cache.layers());
  const std::vector<std::int32_t> tables = {0, 1, 2, 3};  // two blocks of 16 tokens for each window
  float difference = 0;
  for (std::int32_t t = 0; t < T; ++t) {
    const std::vector<TokenId> tokens = {batch.inputs[t], batch.inputs[T + t]};
    const std::vector<std::int32_t> at = {t, t}, one = {0, 1, 2}, seen = {t + 1, t + 1},
                                    slots = {t, static_cast<std::int32_t>(T) + t};
    const Tensor step =
        attention(0, embedding(tokens), {tokens, at, one, seen, slots, tables, 2}, paged);  // [B, C]
    for (std::int64_t i = 0; i < B * C; ++i) {
      const float expected = at_once.as<float>()[(i / C * T + t) * C + i % C];
      difference = std::max(difference, std::abs(step.as<float>()[i] - expected));
    }
  }
  std::printf("largest difference with and without the cache: %g\n", static_cast<double>(difference));
  return difference < 1e-5F ? 0 : 1;
}
