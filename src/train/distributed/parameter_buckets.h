// How the elements of all parameters are dealt out to ranks (ZeRO stage 1: Rajbhandari et al. 2020, section
// 5.1). Parameters are taken in the reverse of their order, about that in which a walk back finishes their
// gradients, into buckets; each bucket is cut into one slice for each rank, all of one length but the last.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "models/model.h"
#include "train/optimizer.h"

namespace tessera::train {

// A run of elements of one parameter, and where in its bucket it begins.
struct BucketRun {
  std::size_t parameter = 0;
  std::int64_t first = 0;  // element of the parameter
  std::int64_t count = 0;
  std::int64_t place = 0;  // element of the bucket
};

struct Bucket {
  std::vector<BucketRun> parameters;  // whole ones, one after another
  std::int64_t elements = 0;
  std::int64_t slice = 0;  // ⌈elements / ranks⌉

  // The runs that make up [begin, end), cut off at the bucket's end.
  std::vector<BucketRun> runs(std::int64_t begin, std::int64_t end) const;
};

// What is sent at once: elements [offset, offset + length) of every rank's slice of a bucket.
struct BucketPiece {
  std::size_t bucket = 0;
  std::int64_t offset = 0;
  std::int64_t length = 0;
};

class ParameterBuckets {
 public:
  // A bucket is closed when it has `bucket_elements` or more; a larger parameter is one alone.
  ParameterBuckets(std::span<const models::Parameter> parameters, int ranks, std::int64_t bucket_elements);

  int ranks() const { return ranks_; }
  std::span<const models::Parameter> parameters() const { return parameters_; }
  std::span<const Bucket> buckets() const { return buckets_; }
  // No more than about bucket_elements in all ranks' parts of a piece.
  std::vector<BucketPiece> pieces(std::size_t bucket) const;
  // What `rank` keeps the optimizer's memory of, at most one run a parameter.
  std::vector<ParameterSlice> slices(int rank) const;

 private:
  std::vector<models::Parameter> parameters_;
  std::vector<Bucket> buckets_;
  int ranks_;
  std::int64_t piece_length_;
};

}  // namespace tessera::train
