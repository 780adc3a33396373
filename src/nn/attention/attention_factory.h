// From a name in a configuration to an attention mechanism, for one layer or for a whole model whose layers
// differ. Adding a mechanism: a value of AttentionKind, a line in kAttentionKinds, a case in the factory.
#pragma once
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "nn/attention/attention_config.h"
#include "nn/attention/attention_mechanism.h"

namespace tessera::nn {

// The names of config.json's attention_mechanism and of `tessera train --attention`.
std::vector<std::string_view> attention_kind_names();
std::string_view attention_kind_name(AttentionKind kind);
// Error bad_usage listing the names.
AttentionKind attention_kind_from_name(std::string_view name);

// A mechanism on the batch's own tokens, without a cache: what trains, and the reference for the rest.
std::unique_ptr<AttentionMechanism> make_attention_mechanism(const AttentionConfig& config);
// One for a whole model: layer i attends as layers[i] says; layers beyond the last attend as flash.
std::unique_ptr<AttentionMechanism> make_attention_mechanism(std::span<const AttentionConfig> layers);

}  // namespace tessera::nn
