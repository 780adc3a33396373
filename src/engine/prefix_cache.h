// Keys and values that outlive their sequence: a tree of blocks by the tokens they hold, from which a new
// sequence takes the prefix it shares with earlier ones (automatic prefix caching: PagedAttention, Kwon et
// al. 2023; RadixAttention, Zheng et al. 2024).
#pragma once
#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/token_id.h"
#include "engine/disk_tier.h"
#include "engine/sequence.h"

namespace tessera::engine {

// Holds one reference to each of its blocks. A block that nobody else holds is free to be forgotten, least
// recently used first, leaves of the tree before their parents. Tokens are compared, not only their hashes:
// what a sequence gets was computed for exactly its tokens, under exactly its salt.
class PrefixCache {
 public:
  // `manager` and `tier` must outlive the cache. With a tier, blocks that are forgotten for want of room go
  // to disk first.
  explicit PrefixCache(BlockManager& manager, DiskTier* tier = nullptr) : manager_(&manager), tier_(tier) {}
  ~PrefixCache() { clear(); }
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  using NodeId = std::int64_t;  // never used twice
  // How far the blocks of a sequence are those of the cache: `blocks` of them, the last one being `node`.
  struct Cursor {
    NodeId node = 0;
    std::int64_t blocks = 0;
  };

  // Where sequences of this salt begin. Those of different salts share nothing.
  Cursor root(std::string_view salt);
  // Gives `sequence` the blocks that hold its next tokens, as far as there are any, but never its last token,
  // whose logits are wanted. Unless `whole_blocks`, also the beginning of a block that goes on differently,
  // which is copied when the sequence writes to it. Returns the tokens gained. Everything the sequence has
  // computed must have gone through store().
  std::int64_t attach(Sequence& sequence, Cursor& cursor, bool whole_blocks = false);
  // Enters the full blocks that the sequence has computed since the cursor; where the cache has the same
  // tokens already, the sequence takes the cache's block and gives its own back. With `last_too` also the
  // last block, part full: for a sequence that ends.
  void store(Sequence& sequence, Cursor& cursor, bool last_too = false);

  // Enters blocks that were read from disk, the beginning of `tokens`, as far as there is room.
  void restore(std::string_view salt, std::span<const TokenId> tokens, std::span<const StagedBlock> staged);
  // Copies up to `limit` blocks that have never been on disk for it. False: there is nothing more to copy.
  bool save_some(std::int64_t limit);
  bool has_unsaved() const { return !unsaved_.empty(); }

  // Forgets until `blocks` are free in the manager. False when too many are in use; then all that could be
  // forgotten is.
  bool make_room(std::int64_t blocks);
  void clear();

  std::int64_t size() const { return static_cast<std::int64_t>(nodes_.size()); }  // blocks held
  std::int64_t evictable() const { return manager_->idle_blocks(); }              // of those, by nobody else

 private:
  struct Node {
    NodeId parent = 0;
    BlockId block = 0;
    std::vector<TokenId> tokens;  // block_size of them, or fewer in a block that ended a sequence
    std::list<NodeId>::iterator use;
    std::optional<BlockKey> key = {};  // with a tier only
  };

  using Nodes = std::unordered_map<NodeId, Node>;

  static std::uint64_t hash(NodeId parent, std::span<const TokenId> tokens);
  NodeId find(NodeId parent, std::span<const TokenId> tokens) const;
  void insert(NodeId parent, BlockId block, std::span<const TokenId> tokens);
  bool attach_part(Sequence& sequence, const Cursor& cursor);
  void touch(NodeId node);
  bool in_use(NodeId node) const;
  std::optional<BlockKey> key_of(NodeId node) const;
  bool save(NodeId node);
  bool enter(Cursor& cursor, const StagedBlock& block);
  bool evict();
  void erase(NodeId node);
  void forget_parts(NodeId parent, std::span<const TokenId> tokens);
  void forget_empty_roots();

  BlockManager* manager_;
  DiskTier* tier_;
  Nodes nodes_;
  std::unordered_map<NodeId, std::vector<NodeId>> children_;
  std::unordered_multimap<std::uint64_t, NodeId> full_;  // by hash(parent, tokens); full blocks only
  std::list<NodeId> uses_;                               // least recently used first
  std::unordered_map<std::string, NodeId> roots_;
  std::unordered_map<NodeId, BlockKey> root_keys_;  // with a tier only
  std::deque<NodeId> unsaved_;                      // those that may not be on disk yet
  NodeId next_id_ = 1;
};

}  // namespace tessera::engine
