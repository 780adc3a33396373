#include "autograd/tape.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace tessera::autograd {
namespace {

thread_local Tape* active_tape = nullptr;

std::int64_t floats_of(const Storage& storage) {
  return static_cast<std::int64_t>(storage.bytes().size() / sizeof(float));
}

bool covers_storage(const Tensor& tensor) {
  return tensor.byte_offset() == 0 && tensor.elements() == floats_of(*tensor.storage());
}

}  // namespace

void Tape::watch(const Tensor& leaf) {
  if (!leaf.defined() || leaf.dtype() != DType::f32) fail(ErrorKind::internal, "tape: expected an F32 leaf");
  Entry& entry = entries_[leaf.storage().get()];
  entry.storage = leaf.storage();
  entry.leaf = true;
}

bool Tape::tracks(const Tensor& tensor) const {
  return tensor.defined() && entries_.contains(tensor.storage().get());
}

Tape::Entry& Tape::entry_of(const Tensor& tensor) {
  const auto found = tensor.defined() ? entries_.find(tensor.storage().get()) : entries_.end();
  if (found == entries_.end()) fail(ErrorKind::internal, "tape: a gradient asked for that nothing tracks");
  return found->second;
}

void Tape::record(std::initializer_list<Tensor> outputs, std::initializer_list<Tensor> saved,
                  Backward backward) {
  add_node(outputs, saved, std::move(backward));
}

void Tape::record(const std::vector<Tensor>& outputs, std::initializer_list<Tensor> saved,
                  Backward backward) {
  add_node(outputs, saved, std::move(backward));
}

void Tape::add_node(std::vector<Tensor> outputs, std::initializer_list<Tensor> saved, Backward backward) {
  for (const Tensor& output : outputs) {
    Entry& entry = entries_[output.storage().get()];
    if (entry.storage != nullptr) continue;
    entry.storage = output.storage();
    entry.producer = nodes_.size();
  }
  Node node{std::move(outputs), {}, std::move(backward)};
  for (const Tensor& tensor : saved) {
    if (!tensor.defined()) continue;
    node.saved.push_back(tensor.storage().get());
    saved_.insert(tensor.storage().get());
  }
  nodes_.push_back(std::move(node));
}

void Tape::record_in_place(const Tensor& tensor, Backward backward, std::initializer_list<Tensor> saved) {
  if (entry_of(tensor).leaf || saved_.contains(tensor.storage().get())) {
    fail(ErrorKind::internal, "tape: an operation overwrites what an earlier one needs for its gradient");
  }
  add_node({tensor}, saved, std::move(backward));
}

GradientWindow Tape::gradient_to_write(const Tensor& tensor) {
  Entry& entry = entry_of(tensor);
  if (entry.leaf && inside_node_) count_write(entry);
  if (!entry.gradient.defined()) entry.gradient = Tensor::empty({floats_of(*entry.storage)});
  const bool first = std::exchange(entry.empty, false);
  const bool whole = covers_storage(tensor);
  // A first write to a part leaves the rest to be found as zeros.
  if (first && !whole) std::ranges::fill(entry.gradient.as_mutable<float>(), 0.0F);
  return {Tensor::view(entry.gradient.storage(), tensor.byte_offset(), tensor.shape(), DType::f32),
          !first || !whole};
}

void Tape::count_write(Entry& entry) {
  ++entry.writes;
  if (!observer_ || entry.expected_writes == 0) return;
  if (entry.writes > entry.expected_writes) {
    fail(ErrorKind::internal, "tape: a gradient grew after it was said to be final");
  }
  if (entry.writes == entry.expected_writes) final_leaves_.push_back(entry.storage.get());
}

Tensor Tape::gradient(const Tensor& tensor) {
  const GradientWindow window = gradient_to_write(tensor);
  Tensor values = window.values;
  if (!window.accumulate) std::ranges::fill(values.as_mutable<float>(), 0.0F);
  return values;
}

bool Tape::has_gradient(const Tensor& tensor) const {
  const auto found = entries_.find(tensor.storage().get());
  return found != entries_.end() && !found->second.empty;
}

void Tape::move_gradient(const Tensor& from, const Tensor& to) {
  if (!covers_storage(from) || !covers_storage(to) || from.elements() != to.elements()) {
    fail(ErrorKind::internal, "tape: a gradient moved between tensors of other memory");
  }
  Entry& source = entry_of(from);
  Entry& target = entry_of(to);
  target.gradient = std::exchange(source.gradient, {});
  target.empty = std::exchange(source.empty, true);
}

void Tape::run_last_node() {
  const Node node = std::move(nodes_.back());
  nodes_.pop_back();
  const std::size_t index = nodes_.size();
  for (const Storage* storage : node.saved) saved_.erase(saved_.find(storage));
  const bool reached =
      std::ranges::any_of(node.outputs, [&](const Tensor& output) { return has_gradient(output); });
  if (reached) {
    inside_node_ = true;
    node.backward(*this);
    inside_node_ = false;
  }
  for (const Tensor& output : node.outputs) {
    const auto found = entries_.find(output.storage().get());
    if (found != entries_.end() && !found->second.leaf && found->second.producer == index) {
      entries_.erase(found);
    }
  }
  if (observer_) observer_(final_leaves_);
  final_leaves_.clear();
}

void Tape::backward(const Tensor& loss, float seed) {
  if (!tracks(loss) || loss.elements() != 1) {
    fail(ErrorKind::internal, "tape: expected a loss of one element that depends on a watched tensor");
  }
  for (auto& [storage, entry] : entries_) entry.writes = 0;
  inside_node_ = false;  // a walk may have ended with an exception
  final_leaves_.clear();
  gradient(loss).as_mutable<float>()[0] = seed;
  while (!nodes_.empty()) run_last_node();
  for (auto& [storage, entry] : entries_)
    entry.expected_writes = std::max(entry.expected_writes, entry.writes);
}

void Tape::forget_after(std::size_t operations) {
  while (nodes_.size() > operations) {
    for (const Storage* storage : nodes_.back().saved) saved_.erase(saved_.find(storage));
    for (const Tensor& output : nodes_.back().outputs) {
      const auto found = entries_.find(output.storage().get());
      if (found != entries_.end() && !found->second.leaf && found->second.producer >= operations) {
        entries_.erase(found);
      }
    }
    nodes_.pop_back();
  }
}

void Tape::clear() {
  nodes_.clear();
  saved_.clear();
  std::erase_if(entries_, [](const auto& entry) { return !entry.second.leaf; });
}

void Tape::zero_gradients() {
  for (auto& [storage, entry] : entries_) entry.empty = true;
}

RecordingScope::RecordingScope(Tape& tape) : outer_(std::exchange(active_tape, &tape)) {}
RecordingScope::~RecordingScope() { active_tape = outer_; }

NoGradientScope::NoGradientScope() : outer_(std::exchange(active_tape, nullptr)) {}
NoGradientScope::~NoGradientScope() { active_tape = outer_; }

Tape* tape_for(std::initializer_list<const Tensor*> inputs) {
  if (active_tape == nullptr) return nullptr;
  const bool tracked =
      std::ranges::any_of(inputs, [](const Tensor* tensor) { return active_tape->tracks(*tensor); });
  return tracked ? active_tape : nullptr;
}

}  // namespace tessera::autograd
