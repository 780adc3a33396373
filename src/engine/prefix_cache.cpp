#include "engine/prefix_cache.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace tessera::engine {
namespace {

// Siblings looked at for one that begins alike, latest first: thousands of chats may follow one system
// message.
constexpr std::size_t kMostSiblings = 32;
constexpr std::size_t kMostRoots = 4096;

std::span<const TokenId> tokens_of(const Sequence& sequence, std::int64_t begin, std::int64_t end) {
  return std::span(sequence.tokens())
      .subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
}

std::size_t common_length(std::span<const TokenId> one, std::span<const TokenId> other) {
  return static_cast<std::size_t>(std::ranges::mismatch(one, other).in1 - one.begin());
}

}  // namespace

std::uint64_t PrefixCache::hash(NodeId parent, std::span<const TokenId> tokens) {
  auto state = static_cast<std::uint64_t>(parent);
  for (const TokenId token : tokens) {
    state = std::rotl(state ^ static_cast<std::uint32_t>(token), 29) * 0x9e3779b97f4a7c15U;
  }
  return state ^ (state >> 32);
}

PrefixCache::Cursor PrefixCache::root(std::string_view salt) {
  const auto [found, is_new] = roots_.try_emplace(std::string(salt), next_id_);
  const NodeId id = found->second;
  if (is_new) {
    ++next_id_;
    if (tier_ != nullptr) root_keys_.emplace(id, root_block_key(salt));
    if (roots_.size() > kMostRoots) forget_empty_roots();
  }
  return {.node = id, .blocks = 0};
}

void PrefixCache::forget_empty_roots() {
  std::erase_if(roots_, [&](const auto& root) {
    const bool empty = root.second + 1 != next_id_ && !children_.contains(root.second);
    if (empty) root_keys_.erase(root.second);
    return empty;
  });
}

PrefixCache::NodeId PrefixCache::find(NodeId parent, std::span<const TokenId> tokens) const {
  const auto [begin, end] = full_.equal_range(hash(parent, tokens));
  for (auto entry = begin; entry != end; ++entry) {
    const Node& node = nodes_.at(entry->second);
    if (node.parent == parent && std::ranges::equal(node.tokens, tokens)) return entry->second;
  }
  return 0;
}

std::int64_t PrefixCache::attach(Sequence& sequence, Cursor& cursor, bool whole_blocks) {
  const std::int64_t size = manager_->block_size();
  const std::int64_t before = sequence.cached();
  if (manager_->stateful()) return 0;  // blocks without the state they led to are of no use
  while ((cursor.blocks + 1) * size < sequence.length()) {
    const std::int64_t begin = cursor.blocks * size;
    const NodeId next = find(cursor.node, tokens_of(sequence, begin, begin + size));
    if (next == 0) break;
    sequence.table().truncate(begin);  // a block that the sequence has begun to compute gives way
    sequence.table().append_shared(nodes_.at(next).block, size);
    cursor = {.node = next, .blocks = cursor.blocks + 1};
  }
  const bool gained_part = !whole_blocks && attach_part(sequence, cursor);
  if (sequence.cached() > before || gained_part) touch(cursor.node);
  return sequence.cached() - before;
}

bool PrefixCache::attach_part(Sequence& sequence, const Cursor& cursor) {
  const auto siblings = children_.find(cursor.node);
  if (siblings == children_.end()) return false;
  const std::int64_t begin = cursor.blocks * manager_->block_size();
  const auto wanted = tokens_of(sequence, begin, sequence.length() - 1);
  auto best_length = static_cast<std::size_t>(sequence.cached() - begin);
  NodeId best = 0;
  const std::vector<NodeId>& ids = siblings->second;
  for (std::size_t i = 0; i < std::min(ids.size(), kMostSiblings); ++i) {
    const NodeId id = ids[ids.size() - 1 - i];
    const std::size_t length = common_length(nodes_.at(id).tokens, wanted);
    if (length <= best_length) continue;
    best_length = length;
    best = id;
  }
  if (best == 0) return false;
  sequence.table().truncate(begin);
  sequence.table().append_shared(nodes_.at(best).block, static_cast<std::int64_t>(best_length));
  uses_.splice(uses_.end(), uses_, nodes_.at(best).use);
  return true;
}

void PrefixCache::store(Sequence& sequence, Cursor& cursor, bool last_too) {
  if (manager_->stateful()) return;
  const std::int64_t size = manager_->block_size();
  while ((cursor.blocks + 1) * size <= sequence.cached()) {
    const std::int64_t begin = cursor.blocks * size;
    const auto tokens = tokens_of(sequence, begin, begin + size);
    const auto index = static_cast<std::size_t>(cursor.blocks);
    NodeId node = find(cursor.node, tokens);
    if (node != 0) {
      sequence.table().exchange(index, nodes_.at(node).block);
    } else {
      forget_parts(cursor.node, tokens);
      node = next_id_++;
      insert(cursor.node, sequence.table().blocks()[index], tokens);
    }
    cursor = {.node = node, .blocks = cursor.blocks + 1};
  }
  if (!last_too) return;
  const std::int64_t begin = cursor.blocks * size;
  if (begin < sequence.cached()) {
    const auto tokens = tokens_of(sequence, begin, sequence.cached());
    const auto siblings = children_.find(cursor.node);
    const bool known = siblings != children_.end() && std::ranges::any_of(siblings->second, [&](NodeId id) {
                         return common_length(nodes_.at(id).tokens, tokens) == tokens.size();
                       });
    if (!known) {
      ++next_id_;
      insert(cursor.node, sequence.table().blocks().back(), tokens);
    }
  }
  touch(cursor.node);
}

// A new node with the id before next_id_.
void PrefixCache::insert(NodeId parent, BlockId block, std::span<const TokenId> tokens) {
  const NodeId id = next_id_ - 1;
  manager_->retain(block);
  manager_->set_kept(block, true);
  const auto use = uses_.insert(uses_.end(), id);
  Node& node = nodes_.emplace(id, Node{parent, block, {tokens.begin(), tokens.end()}, use, {}}).first->second;
  if (tier_ != nullptr) {
    // None for what goes on with a text that clear() has forgotten.
    if (const auto before = key_of(parent)) node.key = block_key(*before, tokens);
    if (node.key) tier_->entered_memory(*node.key);
    unsaved_.push_back(id);
  }
  children_[parent].push_back(id);
  if (static_cast<std::int64_t>(tokens.size()) == manager_->block_size())
    full_.emplace(hash(parent, tokens), id);
}

// Blocks that ended where this one goes on.
void PrefixCache::forget_parts(NodeId parent, std::span<const TokenId> tokens) {
  const auto siblings = children_.find(parent);
  if (siblings == children_.end()) return;
  std::vector<NodeId> parts;
  for (const NodeId id : siblings->second) {
    const std::vector<TokenId>& part = nodes_.at(id).tokens;
    if (part.size() < tokens.size() && common_length(part, tokens) == part.size() && !in_use(id))
      parts.push_back(id);
  }
  for (const NodeId id : parts) erase(id);
}

// Parents last: they are forgotten after their children.
void PrefixCache::touch(NodeId node) {
  for (auto found = nodes_.find(node); found != nodes_.end(); found = nodes_.find(found->second.parent)) {
    uses_.splice(uses_.end(), uses_, found->second.use);
  }
}

bool PrefixCache::in_use(NodeId node) const {
  return manager_->reference_count(nodes_.at(node).block) > 1 || children_.contains(node);
}

bool PrefixCache::make_room(std::int64_t blocks) {
  while (manager_->free_blocks() < blocks) {
    if (!evict()) return false;
  }
  return true;
}

// Those in use go to the end of the list, so that they are not met again and again.
bool PrefixCache::evict() {
  for (std::size_t left = uses_.size(); left > 0; --left) {
    const NodeId oldest = uses_.front();
    if (!in_use(oldest)) {
      if (tier_ != nullptr) save(oldest);  // or it is computed again
      erase(oldest);
      return true;
    }
    uses_.splice(uses_.end(), uses_, uses_.begin());
  }
  return false;
}

void PrefixCache::erase(NodeId id) {
  const auto found = nodes_.find(id);
  const Node& node = found->second;
  const auto siblings = children_.find(node.parent);
  std::erase(siblings->second, id);
  if (siblings->second.empty()) children_.erase(siblings);
  const auto [begin, end] = full_.equal_range(hash(node.parent, node.tokens));
  for (auto entry = begin; entry != end; ++entry) {
    if (entry->second != id) continue;
    full_.erase(entry);
    break;
  }
  uses_.erase(node.use);
  manager_->set_kept(node.block, false);
  if (node.key) tier_->left_memory(*node.key);
  manager_->release(node.block);
  nodes_.erase(found);
}

void PrefixCache::clear() {
  for (const auto& [id, node] : nodes_) {
    manager_->set_kept(node.block, false);
    if (node.key) tier_->left_memory(*node.key);
    manager_->release(node.block);
  }
  nodes_.clear();
  children_.clear();
  full_.clear();
  uses_.clear();
  roots_.clear();
  root_keys_.clear();
  unsaved_.clear();
}

std::optional<BlockKey> PrefixCache::key_of(NodeId node) const {
  if (const auto found = nodes_.find(node); found != nodes_.end()) return found->second.key;
  const auto root = root_keys_.find(node);
  return root != root_keys_.end() ? std::optional(root->second) : std::nullopt;
}

bool PrefixCache::save(NodeId id) {
  const Node& node = nodes_.at(id);
  const auto parent = key_of(node.parent);
  return !parent || tier_->save(*parent, node.tokens, node.block);
}

bool PrefixCache::save_some(std::int64_t limit) {
  for (; limit > 0 && !unsaved_.empty() && tier_->accepts(); --limit) {
    const NodeId id = unsaved_.front();
    unsaved_.pop_front();
    if (nodes_.contains(id)) save(id);
  }
  return !unsaved_.empty();
}

// False: no room, or the cursor's own block had to make it.
bool PrefixCache::enter(Cursor& cursor, const StagedBlock& block) {
  const bool is_root = cursor.blocks == 0;
  if (!make_room(1) || (!is_root && !nodes_.contains(cursor.node))) return false;
  const BlockId own = manager_->allocate();
  tier_->load(own, block);
  const NodeId id = next_id_++;
  insert(cursor.node, own, block.tokens);
  manager_->release(own);  // the node holds it
  cursor = {.node = id, .blocks = cursor.blocks + 1};
  return true;
}

void PrefixCache::restore(std::string_view salt, std::span<const TokenId> tokens,
                          std::span<const StagedBlock> staged) {
  const auto size = static_cast<std::size_t>(manager_->block_size());
  Cursor cursor = root(salt);
  for (std::size_t index = 0; !staged.empty(); ++index) {
    while (!staged.empty() && staged.front().index < index) staged = staged.subspan(1);
    const bool has_block = (index + 1) * size <= tokens.size();
    const auto own = has_block ? tokens.subspan(index * size, size) : std::span<const TokenId>();
    if (const NodeId known = has_block ? find(cursor.node, own) : 0; known != 0) {
      cursor = {.node = known, .blocks = cursor.blocks + 1};
      continue;
    }
    if (staged.empty() || staged.front().index != index || !enter(cursor, staged.front())) break;
    if (!std::ranges::equal(staged.front().tokens, own)) break;  // it only begins alike
  }
  touch(cursor.node);
}

}  // namespace tessera::engine
