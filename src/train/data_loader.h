// Batches of a dataset's windows in an order that seed and epoch alone decide, prepared ahead by a thread.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "train/token_dataset.h"

namespace tessera::train {

struct Batch {
  std::int64_t B = 0;
  std::int64_t T = 0;
  std::vector<std::int32_t> inputs;     // [B, T]
  std::vector<std::int32_t> targets;    // [B, T]; kIgnoredTarget = no loss
  std::vector<std::int32_t> documents;  // [B, T] the document of each token within its row, from 0; empty
                                        // unless the dataset separates documents
};

struct DataLoaderOptions {
  std::int64_t batch_size = 1;  // B
  std::uint64_t seed = 0;
  bool shuffle = true;
  bool drop_last = true;  // leave out the windows that do not fill a last batch
  int prefetch = 2;       // batches prepared ahead; 0: none, and no thread
  // Data-parallel training: each batch of batch_size * world_size windows is cut into world_size parts of
  // batch_size rows, and this loader gives part `rank`.
  std::int64_t rank = 0;
  std::int64_t world_size = 1;
};

// Where a loader stands; a checkpoint keeps it. `batch` is the one that next() gives next.
struct DataLoaderState {
  std::int64_t epoch = 0;
  std::int64_t batch = 0;
  std::uint64_t seed = 0;
  // Of the loader that gave the state: restore() refuses one that would go on with other windows.
  std::int64_t windows = 0;
  std::int64_t global_batch = 0;  // batch_size * world_size
  bool shuffle = true;

  bool operator==(const DataLoaderState&) const = default;
};

class DataLoader {
 public:
  // `dataset` must outlive the loader. Error bad_usage for impossible options or a dataset too small for one
  // batch. Starts at epoch 0.
  DataLoader(const TokenDataset& dataset, const DataLoaderOptions& options);
  ~DataLoader();
  DataLoader(const DataLoader&) = delete;
  DataLoader& operator=(const DataLoader&) = delete;

  // Fills `batch` (its memory is used again); false at the end of the epoch. One thread calls it. Error io
  // when the file was cut short.
  bool next(Batch& batch);
  // To the beginning of `epoch`, whose order is its own.
  void reset(std::int64_t epoch);

  // What next() will give goes on exactly there, whatever was prefetched.
  DataLoaderState state() const;
  // Error bad_input naming what differs: windows, batch size, seed, shuffle.
  void restore(const DataLoaderState& state);

  std::int64_t batches_per_epoch() const;

 private:
  class Prefetcher;
  void read_batch(std::int64_t epoch, std::int64_t index, Batch& batch) const;

  const TokenDataset* dataset_;
  DataLoaderOptions options_;
  std::int64_t epoch_ = 0;
  std::int64_t next_batch_ = 0;
  std::unique_ptr<Prefetcher> prefetcher_;
};

}  // namespace tessera::train
