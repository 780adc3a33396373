// Reads which attention mechanism each layer of a model has. The key is our own, for Hugging Face has none:
// `attention_mechanism`, a name for all layers, or `attention_mechanisms`, a list with one for each.
#pragma once
#include <cstdint>
#include <vector>

#include "models/config_reader.h"
#include "nn/attention/attention_config.h"

namespace tessera::models {

// [num_hidden_layers]; flash where the configuration says nothing. Error unsupported: a name nobody knows;
// bad_input: both keys, or a list of another length.
std::vector<nn::AttentionConfig> read_attention_configs(const ConfigReader& config,
                                                        std::int64_t num_hidden_layers);

}  // namespace tessera::models
