#include "engine/disk_tier.h"

#include <fmt/core.h>

#include <utility>

namespace tessera::engine {
namespace {

// Everything that the bytes of a block depend on besides the model and the tokens.
std::string layout_of(const KeyValueCache& memory) {
  std::string layout = fmt::format("{} {} {}", memory.block_manager().block_size(), name(memory.key_dtype()),
                                   name(memory.value_dtype()));
  for (const KeyValueCacheLayer& layer : memory.layers()) {
    layout += fmt::format(" {}x{}", layer.num_key_value_heads, layer.head_dim);
  }
  return layout;
}

}  // namespace

DiskTier::DiskTier(const DiskCacheOptions& options, KeyValueCache& memory)
    : memory_(&memory),
      disk_(options, layout_of(memory), memory.block_manager().block_size(), memory.block_bytes()) {}

std::unique_ptr<DiskTier::Staged> DiskTier::read_prefix(const std::string& salt,
                                                        std::span<const TokenId> tokens) {
  std::vector<StagedBlock> blocks = disk_.read_prefix(salt, tokens);
  if (blocks.empty()) return nullptr;
  return std::make_unique<Staged>(disk_, std::move(blocks));
}

bool DiskTier::save(const BlockKey& parent, std::span<const TokenId> tokens, BlockId block) {
  BlockHeader header{.parent = parent, .tokens = {tokens.begin(), tokens.end()}, .bytes = 0};
  if (disk_.has(header)) return true;
  if (!disk_.accepts()) return false;
  std::vector<std::byte> bytes(memory_->block_bytes());
  memory_->save_block(block, bytes);
  disk_.put(std::move(header), std::move(bytes));
  return true;
}

}  // namespace tessera::engine
