// What a forward pass must read and multiply at least, from a model's configuration alone.
#pragma once
#include <cstdint>
#include <vector>

#include "engine/generator.h"

namespace tessera::engine {

class BenchmarkCosts {
 public:
  explicit BenchmarkCosts(const Generator& generator);

  struct Work {
    double bytes = 0;  // weights once a pass, cached keys and values once a pass and sequence
    double flops = 0;  // a multiply-add is two
  };
  // `sequences` sequences, each computing its tokens [begin, end) in passes of `chunk` tokens, with logits of
  // the last of each pass.
  Work work(std::int64_t begin, std::int64_t end, std::int64_t chunk, std::int64_t sequences) const;

 private:
  const models::ModelConfig* config_;
  double weight_bytes_ = 0;
  double body_flops_ = 0;  // of one token, output projection left out
  double head_flops_ = 0;
  std::vector<double> layer_bytes_;  // of one token's keys and values
};

}  // namespace tessera::engine
