// The tape that turns a forward pass into gradients (reverse mode: Griewank & Walther 2008, chapter 3). It
// knows tensors and no operation: an operation in ops/ records on it what undoes it.
//
// A gradient belongs to a storage: it is a float32 buffer as long as the storage, and a tensor's gradient is
// the window that the tensor has of it. So reshapes, rows of a fused matrix and tied weights need nothing of
// their own: whatever shares memory shares a gradient. Tensors on the tape are F32.
#pragma once
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "tensor/tensor.h"

namespace tessera::autograd {

// A window of a gradient. accumulate false: nothing has been written yet and the memory is arbitrary, so the
// whole window must be written; true: add to it.
struct GradientWindow {
  Tensor values;  // the shape of the tensor it belongs to
  bool accumulate = false;
};

class Tape {
 public:
  // Propagates the gradients of the outputs to the inputs. What it captures stays alive until it has run.
  using Backward = std::function<void(Tape&)>;
  // Told after each operation of a walk back; `final` names the leaves that got the last of their gradient.
  using WalkObserver = std::function<void(std::span<const Storage* const> final)>;

  // `leaf` (a parameter, F32) gets a gradient that stays, and grows with every backward(), until
  // zero_gradients().
  void watch(const Tensor& leaf);
  // Whether gradients flow to `tensor`: it is a leaf or was computed from one.
  bool tracks(const Tensor& tensor) const;

  // An operation made `outputs`, fresh memory, and will read `saved` in its backward. `backward` is skipped
  // when no gradient reached any output.
  void record(std::initializer_list<Tensor> outputs, std::initializer_list<Tensor> saved, Backward backward);
  void record(const std::vector<Tensor>& outputs, std::initializer_list<Tensor> saved, Backward backward);
  // An operation changed `tensor` in its place; its backward changes the gradient in its place, and reads
  // `saved`. Error internal when an earlier operation saved what is overwritten.
  void record_in_place(const Tensor& tensor, Backward backward, std::initializer_list<Tensor> saved = {});

  // For writing, in a backward. Error internal for a tensor that is not tracked.
  GradientWindow gradient_to_write(const Tensor& tensor);
  // For reading; zeros when none has arrived.
  Tensor gradient(const Tensor& tensor);
  bool has_gradient(const Tensor& tensor) const;
  // Gives the gradient of `from` to `to`, another computation of the same values (activation checkpointing).
  void move_gradient(const Tensor& from, const Tensor& to);

  // Walks back from `loss`, one element, whose own gradient is `seed`. Empties the tape; gradients of all but
  // leaves are freed as soon as nothing needs them. Error internal when `loss` is not tracked.
  void backward(const Tensor& loss, float seed = 1.0F);
  // Forgets what was recorded after the first `operations`, as if it had been computed without a tape.
  void forget_after(std::size_t operations);
  // Until the next call of it; an empty one observes nothing. How often a walk writes to each leaf is learned
  // from the walks before, so the first names none. Error internal, in a walk, when a leaf that was named is
  // written to again.
  void observe(WalkObserver observer) { observer_ = std::move(observer); }
  // Forgets what was recorded since the last backward().
  void clear();
  void zero_gradients();

  std::size_t recorded_operations() const { return nodes_.size(); }

 private:
  struct Node {
    std::vector<Tensor> outputs;
    std::vector<const Storage*> saved;
    Backward backward;
  };
  struct Entry {
    std::shared_ptr<Storage> storage;  // keeps the address from being used again
    Tensor gradient;                   // [storage's floats], undefined until something arrives
    bool leaf = false;
    bool empty = true;         // the gradient's memory is arbitrary
    std::size_t producer = 0;  // index of the node that made it
    // Of a leaf: how often this walk has written to it, and how often walks do.
    int writes = 0;
    int expected_writes = 0;
  };
  Entry& entry_of(const Tensor& tensor);
  void add_node(std::vector<Tensor> outputs, std::initializer_list<Tensor> saved, Backward backward);
  void run_last_node();
  void count_write(Entry& entry);

  std::unordered_map<const Storage*, Entry> entries_;
  std::unordered_multiset<const Storage*> saved_;
  std::vector<Node> nodes_;
  WalkObserver observer_;
  std::vector<const Storage*> final_leaves_;
  bool inside_node_ = false;
};

// While one lives, operations of this thread record on `tape`. May be nested; the innermost counts.
class RecordingScope {
 public:
  explicit RecordingScope(Tape& tape);
  ~RecordingScope();
  RecordingScope(const RecordingScope&) = delete;
  RecordingScope& operator=(const RecordingScope&) = delete;

 private:
  Tape* outer_;
};

// While one lives, operations of this thread record nothing.
class NoGradientScope {
 public:
  NoGradientScope();
  ~NoGradientScope();
  NoGradientScope(const NoGradientScope&) = delete;
  NoGradientScope& operator=(const NoGradientScope&) = delete;

 private:
  Tape* outer_;
};

// The tape to record on: this thread's, when it tracks one of `inputs` (undefined ones are passed over); null
// otherwise.
Tape* tape_for(std::initializer_list<const Tensor*> inputs);

}  // namespace tessera::autograd
