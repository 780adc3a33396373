// Reading metrics.jsonl, the line a step that a training run writes: as curves over the step.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::train {

// One number over the course of a run.
struct Curve {
  std::string name;
  std::vector<double> x;  // ascending
  std::vector<double> y;  // finite
};

// Everything a run measured, a Curve for each key with numbers ("loss", "validation_loss", ...), in the order
// in which the keys first appear. A step that is there twice (done again after a resume) counts as written
// last. `run`: the file, or the folder of the run with metrics.jsonl in it. A last line without its end is
// one that is being written, and left out. Error io; bad_input naming file and line for what is not an object
// with a "step".
std::vector<Curve> read_metrics(const std::string& run);

// The curve of this name, or nullptr.
const Curve* find_curve(const std::vector<Curve>& curves, std::string_view name);

// The mean of each point and those before it, weighted by factor^distance (an exponential moving average
// without the bias of its beginning: Kingma & Ba 2014, section 3). factor in [0, 1); 0 changes nothing.
Curve smoothed(const Curve& curve, double factor);

}  // namespace tessera::train
