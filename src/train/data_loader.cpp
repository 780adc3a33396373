#include "train/data_loader.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "base/checked_size.h"
#include "base/error.h"
#include "train/index_permutation.h"

namespace tessera::train {
namespace {

constexpr int kMostPrefetch = 1024;

void check(const TokenDataset& dataset, const DataLoaderOptions& options) {
  if (options.batch_size < 1)
    fail(ErrorKind::bad_usage, "batch_size: expected at least 1, found {}", options.batch_size);
  if (options.prefetch < 0 || options.prefetch > kMostPrefetch) {
    fail(ErrorKind::bad_usage, "prefetch: expected 0 to {}, found {}", kMostPrefetch, options.prefetch);
  }
  if (options.world_size < 1 || options.rank < 0 || options.rank >= options.world_size) {
    fail(ErrorKind::bad_usage, "rank: expected 0 to {}, found {}", options.world_size - 1, options.rank);
  }
  const std::int64_t global_batch = (CheckedSize::from_signed(options.batch_size, "batch_size") *
                                     CheckedSize::from_signed(options.world_size))
                                        .as_dimension();
  if (global_batch > dataset.size() && (options.drop_last || options.world_size > 1)) {
    fail(ErrorKind::bad_usage,
         "batch_size: expected at most the {} windows of seq_len {} there are, found {}", dataset.size(),
         dataset.seq_len(), global_batch);
  }
  if (!options.drop_last && options.world_size > 1) {
    fail(ErrorKind::bad_usage, "drop_last: expected true with several ranks, whose batches are of one size");
  }
}

}  // namespace

// Prepares the batches of one epoch in order, at most `ahead` that nobody has taken.
class DataLoader::Prefetcher {
 public:
  Prefetcher(const DataLoader& loader, std::int64_t epoch, std::int64_t begin, std::int64_t end, int ahead)
      : thread_([this, &loader, epoch, begin, end, ahead](const std::stop_token& stop) {
          work(loader, epoch, begin, end, static_cast<std::size_t>(ahead), stop);
        }) {}

  // The next batch; `batch`'s memory goes back to be filled again.
  void take(Batch& batch) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !ready_.empty() || error_; });
    if (ready_.empty()) std::rethrow_exception(error_);
    std::swap(batch, ready_.front());
    spare_.push_back(std::move(ready_.front()));
    ready_.pop_front();
    changed_.notify_all();
  }

 private:
  void work(const DataLoader& loader, std::int64_t epoch, std::int64_t begin, std::int64_t end,
            std::size_t ahead, const std::stop_token& stop) {
    try {
      for (std::int64_t index = begin; index < end; ++index) {
        Batch batch;
        {
          std::unique_lock lock(mutex_);
          if (!changed_.wait(lock, stop, [&] { return ready_.size() < ahead; })) return;
          if (!spare_.empty()) {
            batch = std::move(spare_.back());
            spare_.pop_back();
          }
        }
        loader.read_batch(epoch, index, batch);
        const std::lock_guard lock(mutex_);
        ready_.push_back(std::move(batch));
        changed_.notify_all();
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      error_ = std::current_exception();
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Batch> ready_;
  std::vector<Batch> spare_;
  std::exception_ptr error_;
  std::jthread thread_;  // last: it is stopped and joined before the rest goes
};

DataLoader::DataLoader(const TokenDataset& dataset, const DataLoaderOptions& options)
    : dataset_(&dataset), options_(options) {
  check(dataset, options);
}

DataLoader::~DataLoader() = default;

std::int64_t DataLoader::batches_per_epoch() const {
  const std::int64_t global_batch = options_.batch_size * options_.world_size;
  return options_.drop_last ? dataset_->size() / global_batch
                            : (dataset_->size() + global_batch - 1) / global_batch;
}

void DataLoader::read_batch(std::int64_t epoch, std::int64_t index, Batch& batch) const {
  dataset_->check_not_shrunk();
  const std::int64_t first = (index * options_.world_size + options_.rank) * options_.batch_size;
  batch.B = std::min(options_.batch_size, dataset_->size() - first);
  batch.T = dataset_->seq_len();
  const std::size_t elements =
      (CheckedSize::from_signed(batch.B, "batch") * CheckedSize::from_signed(batch.T)).value();
  batch.inputs.resize(elements);
  batch.targets.resize(elements);
  batch.documents.resize(dataset_->separate_documents() ? elements : 0);
  const IndexPermutation order(static_cast<std::uint64_t>(dataset_->size()), options_.seed,
                               static_cast<std::uint64_t>(epoch));
  const auto length = static_cast<std::size_t>(batch.T);
  for (std::int64_t row = 0; row < batch.B; ++row) {
    const std::int64_t place = first + row;
    const std::int64_t window =
        options_.shuffle ? static_cast<std::int64_t>(order(static_cast<std::uint64_t>(place))) : place;
    const std::size_t begin = static_cast<std::size_t>(row) * length;
    const auto documents = batch.documents.empty() ? std::span<std::int32_t>()
                                                   : std::span(batch.documents).subspan(begin, length);
    dataset_->window(window, std::span(batch.inputs).subspan(begin, length),
                     std::span(batch.targets).subspan(begin, length), documents);
  }
}

bool DataLoader::next(Batch& batch) {
  if (next_batch_ >= batches_per_epoch()) return false;
  if (options_.prefetch == 0) {
    read_batch(epoch_, next_batch_, batch);
  } else {
    if (!prefetcher_) {
      prefetcher_ =
          std::make_unique<Prefetcher>(*this, epoch_, next_batch_, batches_per_epoch(), options_.prefetch);
    }
    prefetcher_->take(batch);
  }
  ++next_batch_;
  return true;
}

void DataLoader::reset(std::int64_t epoch) {
  if (epoch < 0) fail(ErrorKind::bad_usage, "epoch: expected 0 or more, found {}", epoch);
  prefetcher_.reset();
  epoch_ = epoch;
  next_batch_ = 0;
}

DataLoaderState DataLoader::state() const {
  return {.epoch = epoch_,
          .batch = next_batch_,
          .seed = options_.seed,
          .windows = dataset_->size(),
          .global_batch = options_.batch_size * options_.world_size,
          .shuffle = options_.shuffle};
}

void DataLoader::restore(const DataLoaderState& state) {
  const DataLoaderState own = this->state();
  const auto require = [](const char* what, auto expected, auto found) {
    if (expected == found) return;
    fail(ErrorKind::bad_input, "state of the data loader: expected {} {}, as here, found {}", what, expected,
         found);
  };
  require("windows", own.windows, state.windows);
  require("global batch", own.global_batch, state.global_batch);
  require("seed", own.seed, state.seed);
  require("shuffle", own.shuffle, state.shuffle);
  if (state.epoch < 0 || state.batch < 0 || state.batch > batches_per_epoch()) {
    fail(ErrorKind::bad_input,
         "state of the data loader: expected an epoch of 0 or more and a batch of 0 to {}, found {} and {}",
         batches_per_epoch(), state.epoch, state.batch);
  }
  prefetcher_.reset();
  epoch_ = state.epoch;
  next_batch_ = state.batch;
}

}  // namespace tessera::train
