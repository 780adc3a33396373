#include "train/distributed/data_parallel.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/thread_pool.h"

namespace tessera::train {
namespace {

constexpr std::size_t kMostInFlight = 4;  // pieces; what is sent ahead costs memory
constexpr std::int64_t kSumGrain = 1 << 14;

// own[i] = part 0's element i + part 1's + ...: always in this order.
void sum_in_order(std::span<float> parts, std::int64_t length) {
  thread_pool().parallel_for(length, kSumGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::size_t at = static_cast<std::size_t>(length); at < parts.size();
         at += static_cast<std::size_t>(length)) {
      const float* part = parts.data() + at;
      for (std::int64_t i = begin; i < end; ++i) parts[static_cast<std::size_t>(i)] += part[i];
    }
  });
}

std::span<float> floats_of(Tensor& tensor, const BucketRun& run) {
  return tensor.as_mutable<float>().subspan(static_cast<std::size_t>(run.first),
                                            static_cast<std::size_t>(run.count));
}

}  // namespace

DataParallel::DataParallel(ProcessGroup& group, autograd::Tape& tape,
                           std::span<const models::Parameter> parameters, std::int64_t bucket_elements)
    : group_(&group), tape_(&tape), buckets_(parameters, group.size(), bucket_elements) {
  for (int rank = 0; rank < group.size(); ++rank) slices_.push_back(buckets_.slices(rank));
  for (std::size_t bucket = 0; bucket < buckets_.buckets().size(); ++bucket) {
    for (const BucketRun& run : buckets_.buckets()[bucket].parameters) {
      auto& owners = buckets_of_[parameters[run.parameter].tensor.storage().get()];
      if (owners.empty() || owners.back() != bucket) owners.push_back(bucket);
    }
  }
}

DataParallel::~DataParallel() { tape_->observe({}); }

void DataParallel::begin_reduction() {
  missing_.assign(buckets_.buckets().size(), 0);
  for (const auto& [storage, owners] : buckets_of_) {
    for (const std::size_t bucket : owners) ++missing_[bucket];
  }
  next_bucket_ = 0;
  tape_->observe([this](std::span<const Storage* const> final) { observe(final); });
}

void DataParallel::observe(std::span<const Storage* const> final) {
  for (const Storage* storage : final) {
    const auto owners = buckets_of_.find(storage);
    if (owners == buckets_of_.end()) continue;
    for (const std::size_t bucket : owners->second) --missing_[bucket];
  }
  queue_ready_buckets();
  run_queue(Direction::reduce, false);
}

void DataParallel::queue_ready_buckets() {
  for (; next_bucket_ < missing_.size() && missing_[next_bucket_] == 0; ++next_bucket_) {
    std::ranges::copy(buckets_.pieces(next_bucket_), std::back_inserter(queue_));
  }
}

void DataParallel::finish_reduction() {
  tape_->observe({});
  std::ranges::fill(missing_, std::size_t{0});  // the walk is over: all are final
  queue_ready_buckets();
  run_queue(Direction::reduce, true);
}

void DataParallel::gather_parameters() {
  for (std::size_t bucket = 0; bucket < buckets_.buckets().size(); ++bucket) {
    std::ranges::copy(buckets_.pieces(bucket), std::back_inserter(queue_));
  }
  run_queue(Direction::gather, true);
}

// Starts what is queued, a few at a time, and takes what has arrived, in order.
void DataParallel::run_queue(Direction direction, bool until_empty) {
  while (!queue_.empty() || !in_flight_.empty()) {
    while (!queue_.empty() && in_flight_.size() < kMostInFlight) {
      start(direction, queue_.front());
      queue_.pop_front();
    }
    InFlight& oldest = in_flight_.front();
    if (until_empty) {
      group_->wait(*oldest.transfer);
    } else if (!oldest.transfer->finished()) {
      return;
    }
    finish(direction, oldest);
    spare_.push_back(std::move(oldest));
    in_flight_.pop_front();
  }
}

Tensor DataParallel::values(Direction direction, std::size_t parameter) const {
  const Tensor& own = buckets_.parameters()[parameter].tensor;
  return direction == Direction::reduce ? tape_->gradient(own) : own;
}

// A reduction sends to each rank that part of its slice, the gathering its own to all.
void DataParallel::start(Direction direction, const BucketPiece& piece) {
  InFlight flight;
  if (!spare_.empty()) {
    flight = std::move(spare_.back());
    spare_.pop_back();
  }
  flight.piece = piece;
  const bool reduce = direction == Direction::reduce;
  const auto length = static_cast<std::size_t>(piece.length);
  const auto ranks = static_cast<std::size_t>(group_->size());
  flight.out.assign(reduce ? ranks * length : length, 0.0F);  // zeros where a slice ends early
  flight.in.resize(ranks * length);
  const Bucket& bucket = buckets_.buckets()[piece.bucket];
  for (std::size_t part = 0; part < flight.out.size() / length; ++part) {
    const auto rank = reduce ? static_cast<std::int64_t>(part) : group_->rank();
    const std::int64_t begin = rank * bucket.slice + piece.offset;
    for (const BucketRun& run : bucket.runs(begin, begin + piece.length)) {
      Tensor tensor = values(direction, run.parameter);
      std::ranges::copy(
          floats_of(tensor, run),
          flight.out.begin() + static_cast<std::ptrdiff_t>(part * length) + (run.place - begin));
    }
  }
  const auto out = std::as_bytes(std::span(flight.out));
  const auto in = std::as_writable_bytes(std::span(flight.in));
  flight.transfer = reduce ? group_->start_all_to_all(out, in) : group_->start_all_gather(out, in);
  in_flight_.push_back(std::move(flight));
}

void DataParallel::finish(Direction direction, InFlight& arrived) {
  const BucketPiece& piece = arrived.piece;
  const Bucket& bucket = buckets_.buckets()[piece.bucket];
  const bool reduce = direction == Direction::reduce;
  if (reduce) sum_in_order(arrived.in, piece.length);
  for (int rank = 0; rank < group_->size(); ++rank) {
    if (reduce ? rank > 0 : rank == group_->rank()) continue;  // the sum alone; what is not ours
    const std::int64_t begin = (reduce ? group_->rank() : rank) * bucket.slice + piece.offset;
    const float* part = arrived.in.data() + rank * piece.length;
    for (const BucketRun& run : bucket.runs(begin, begin + piece.length)) {
      Tensor tensor = values(direction, run.parameter);
      std::copy_n(part + (run.place - begin), run.count, floats_of(tensor, run).begin());
    }
  }
}

std::vector<formats::TensorToWrite> DataParallel::state_to_write(const Optimizer& optimizer) const {
  std::vector<formats::TensorToWrite> tensors;
  const std::vector<std::string> moments = optimizer.moment_names();
  for (std::size_t parameter = 0; parameter < buckets_.parameters().size(); ++parameter) {
    const models::Parameter& whole = buckets_.parameters()[parameter];
    for (std::size_t moment = 0; moment < moments.size(); ++moment) {
      tensors.push_back(
          {fmt::format("{}.{}", moments[moment], whole.name), DType::f32, whole.tensor.shape(),
           [this, &optimizer, parameter, moment] { return gather_tensor(optimizer, parameter, moment); }});
    }
  }
  return tensors;
}

void DataParallel::send_state(const Optimizer& optimizer) const {
  for (const formats::TensorToWrite& tensor : state_to_write(optimizer)) tensor.make();
}

// On rank 0 the whole tensor, elsewhere nothing.
Tensor DataParallel::gather_tensor(const Optimizer& optimizer, std::size_t parameter,
                                   std::size_t moment) const {
  const auto slice_of = [&](int rank) -> const ParameterSlice* {
    const auto& slices = slices_[static_cast<std::size_t>(rank)];
    const auto found = std::ranges::find(slices, parameter, &ParameterSlice::index);
    return found == slices.end() ? nullptr : &*found;
  };
  const ParameterSlice* own = slice_of(group_->rank());
  ProcessGroup::Bytes own_bytes;
  if (own != nullptr) {
    const auto index =
        static_cast<std::size_t>(own - slices_[static_cast<std::size_t>(group_->rank())].data());
    const Tensor& tensor = optimizer.state()[index * optimizer.moment_names().size() + moment].tensor;
    own_bytes = {tensor.raw(), tensor.bytes()};
  }
  if (!group_->is_first()) {
    if (own != nullptr) group_->wait(*group_->start_send(own_bytes, 0));
    return {};
  }
  Tensor whole = Tensor::empty(buckets_.parameters()[parameter].tensor.shape());
  for (int rank = 0; rank < group_->size(); ++rank) {
    const ParameterSlice* slice = slice_of(rank);
    if (slice == nullptr) continue;
    std::byte* place = whole.mutable_raw() + static_cast<std::size_t>(slice->first) * sizeof(float);
    if (rank == 0) {
      std::memcpy(place, own_bytes.data(), own_bytes.size());
    } else {
      group_->wait(*group_->start_receive({place, slice->part.tensor.bytes()}, rank));
    }
  }
  return whole;
}

}  // namespace tessera::train
