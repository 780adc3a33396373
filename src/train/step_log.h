// A file with a JSON object a line, each of one step (metrics.jsonl, samples.jsonl), that a run which goes on
// from an earlier step continues.
#pragma once
#include <cstdint>
#include <fstream>
#include <string>

namespace tessera::train {

class StepLog {
 public:
  // Keeps of what is there the lines of steps up to `steps_done`; what came later is done again. Error io.
  StepLog(std::string path, std::int64_t steps_done);

  // `line`: a JSON object with a "step", without a line end. On the disk's way when this returns. Error io.
  void add(const std::string& line);

 private:
  std::string path_;
  std::ofstream out_;
};

}  // namespace tessera::train
