#include "train/distributed/parameter_buckets.h"

#include <algorithm>

namespace tessera::train {

std::vector<BucketRun> Bucket::runs(std::int64_t begin, std::int64_t end) const {
  std::vector<BucketRun> found;
  for (const BucketRun& whole : parameters) {
    const std::int64_t from = std::max(begin, whole.place);
    const std::int64_t to = std::min(end, whole.place + whole.count);
    if (from < to) found.push_back({whole.parameter, from - whole.place, to - from, from});
  }
  return found;
}

ParameterBuckets::ParameterBuckets(std::span<const models::Parameter> parameters, int ranks,
                                   std::int64_t bucket_elements)
    : parameters_(parameters.begin(), parameters.end()),
      ranks_(ranks),
      piece_length_(std::max<std::int64_t>(1, bucket_elements / ranks)) {
  Bucket open;
  const auto close = [&] {
    if (open.parameters.empty()) return;
    open.slice = (open.elements + ranks - 1) / ranks;
    buckets_.push_back(std::move(open));
    open = {};
  };
  for (std::size_t index = parameters_.size(); index-- > 0;) {
    const std::int64_t count = parameters_[index].tensor.elements();
    if (count >= bucket_elements) close();
    open.parameters.push_back({index, 0, count, open.elements});
    open.elements += count;
    if (open.elements >= bucket_elements) close();
  }
  close();
}

std::vector<BucketPiece> ParameterBuckets::pieces(std::size_t bucket) const {
  std::vector<BucketPiece> found;
  const std::int64_t slice = buckets_[bucket].slice;
  for (std::int64_t offset = 0; offset < slice; offset += piece_length_) {
    found.push_back({bucket, offset, std::min(piece_length_, slice - offset)});
  }
  return found;
}

std::vector<ParameterSlice> ParameterBuckets::slices(int rank) const {
  std::vector<ParameterSlice> found;
  for (const Bucket& bucket : buckets_) {
    for (const BucketRun& run : bucket.runs(rank * bucket.slice, (rank + 1) * bucket.slice)) {
      const models::Parameter& whole = parameters_[run.parameter];
      const std::size_t offset =
          whole.tensor.byte_offset() + static_cast<std::size_t>(run.first) * sizeof(float);
      models::Parameter part = whole;
      part.tensor = Tensor::view(whole.tensor.storage(), offset, {run.count}, DType::f32);
      found.push_back({std::move(part), run.parameter, whole.tensor.shape(), run.first});
    }
  }
  return found;
}

}  // namespace tessera::train
