// samples.jsonl: the texts that a model wrote while it was trained.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace tessera::train {

struct SampleLine {
  std::int64_t step = 0;
  std::string prompt;
  std::string text;  // what the model went on with
};

// One line of the file, without its end. Bytes that are no UTF-8 become U+FFFD.
std::string sample_json(const SampleLine& sample);
// Every whole line of RUN/samples.jsonl, in order; none when there is no such file. Lines that are no samples
// are passed over.
std::vector<SampleLine> read_samples(const std::string& run);

}  // namespace tessera::train
