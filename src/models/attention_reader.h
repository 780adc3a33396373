// Reads which attention mechanism each layer of a model has. The key is our own, for Hugging Face has none:
// `attention_mechanism`, a name for all layers, or `attention_mechanisms`, a list with one for each. The
// sparse ones have settings, alike in all layers:
//   attention_window         sliding_window, sparse_local: W tokens, the query itself included
//   attention_stride         sparse_strided, sparse_fixed: s; of sparse_local too where it has no window
//   attention_columns        sparse_fixed: c, the last of each s that all see (8)
//   attention_heads          sparse_heads: a list of the three above, of the query heads in turn
//   attention_block, attention_random_blocks, attention_seed    bigbird: (64, 3, 0)
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "models/config_reader.h"
#include "nn/attention/attention_config.h"

namespace tessera::models {

// [num_hidden_layers]; flash where the configuration says nothing. bigbird counts its blocks in all
// `positions` of the model, so that what a token sees does not change as the text grows. Error unsupported: a
// name nobody knows; bad_input: both keys, a list of another length, a setting that is missing, impossible,
// or that no layer has a use for.
std::vector<nn::AttentionConfig> read_attention_configs(const ConfigReader& config,
                                                        std::int64_t num_hidden_layers,
                                                        std::int64_t positions);

// GGUF has no key for a mechanism, and a reader that knows nothing of one would attend to everything. Error
// unsupported unless every layer is dense or flash.
void expect_full_attention(const ConfigReader& config, std::span<const nn::AttentionConfig> layers);

}  // namespace tessera::models
