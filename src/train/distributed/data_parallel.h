// Data-parallel training: every rank has the whole model and its share of each batch, and the optimizer's
// memory of one slice of the parameters (ZeRO stage 1: Rajbhandari et al. 2020). While the walk back still
// runs, buckets of finished gradients are on their way (Li et al. 2020, "PyTorch Distributed", section 3.2).
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "autograd/tape.h"
#include "formats/tensor_to_write.h"
#include "train/distributed/parameter_buckets.h"
#include "train/distributed/process_group.h"

namespace tessera::train {

inline constexpr std::int64_t kBucketElements = 1 << 18;  // 1 MiB: a millisecond at 10 Gbit/s

class DataParallel {
 public:
  // All must outlive it. `tape` watches the parameters.
  DataParallel(ProcessGroup& group, autograd::Tape& tape, std::span<const models::Parameter> parameters,
               std::int64_t bucket_elements = kBucketElements);
  ~DataParallel();
  DataParallel(const DataParallel&) = delete;
  DataParallel& operator=(const DataParallel&) = delete;

  ProcessGroup& group() const { return *group_; }
  // What this rank's optimizer updates.
  const std::vector<ParameterSlice>& own_slices() const {
    return slices_[static_cast<std::size_t>(group_->rank())];
  }

  // Before the last walk back of a step: from now on a bucket's gradients are summed over the ranks as soon
  // as they are final.
  void begin_reduction();
  // After it: when this returns, the gradients of the own slices on the tape are the sums, in the order of
  // ranks; the others are of no use.
  void finish_reduction();
  // After the optimizer: every rank gets the slices that the others have updated.
  void gather_parameters();

  // The optimizer's memory in whole tensors, for a checkpoint. Rank 0 writes them in this order; meanwhile
  // the others call send_state.
  std::vector<formats::TensorToWrite> state_to_write(const Optimizer& optimizer) const;
  void send_state(const Optimizer& optimizer) const;

 private:
  struct InFlight {
    BucketPiece piece;
    std::vector<float> out;
    std::vector<float> in;
    std::unique_ptr<Transfer> transfer;
  };
  enum class Direction { reduce, gather };

  void observe(std::span<const Storage* const> final);
  void queue_ready_buckets();
  void run_queue(Direction direction, bool until_empty);
  void start(Direction direction, const BucketPiece& piece);
  void finish(Direction direction, InFlight& arrived);
  Tensor values(Direction direction, std::size_t parameter) const;
  Tensor gather_tensor(const Optimizer& optimizer, std::size_t parameter, std::size_t moment) const;

  ProcessGroup* group_;
  autograd::Tape* tape_;
  ParameterBuckets buckets_;
  std::vector<std::vector<ParameterSlice>> slices_;  // by rank
  std::unordered_map<const Storage*, std::vector<std::size_t>> buckets_of_;
  std::vector<std::size_t> missing_;  // of each bucket: storages whose gradient is not final yet
  std::size_t next_bucket_ = 0;       // buckets go out in their order, the same on every rank
  std::deque<BucketPiece> queue_;
  std::deque<InFlight> in_flight_;
  std::vector<InFlight> spare_;
};

}  // namespace tessera::train
