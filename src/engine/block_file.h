// One cache block as a file: what it is of, its bytes, a checksum. A file that is not exactly what was
// written is as good as none.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "engine/block_key.h"

namespace tessera::engine {

struct BlockHeader {
  BlockKey parent{};
  std::vector<TokenId> tokens;  // one or more
  std::uint64_t bytes = 0;      // of keys and values, all layers
  BlockKey key() const { return block_key(parent, tokens); }
};

// Written beside and renamed, readable by its owner alone; not synced: after a loss of power the checksum
// tells. Error io.
void write_block_file(const std::filesystem::path& path, const BlockHeader& header,
                      std::span<const std::byte> bytes);
// Looks at the beginning only. None: missing, or no such file.
std::optional<BlockHeader> read_block_header(const std::filesystem::path& path);
// The bytes of the block that `header` describes. None: missing, truncated, damaged, or another block.
std::optional<std::vector<std::byte>> read_block_file(const std::filesystem::path& path,
                                                      const BlockHeader& header);

}  // namespace tessera::engine
