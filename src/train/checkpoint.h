// What training leaves on the disk: a folder in Hugging Face's layout that every command opens as a model,
// and beside the weights what is needed to go on as if nothing had happened.
//
//   RUN/checkpoint-500/config.json, model.safetensors, tokenizer.json ...   the model
//   RUN/checkpoint-500/optimizer.safetensors                                the optimizer's memory
//   RUN/checkpoint-500/ema/                                                 the averaged weights, a model too
//   RUN/checkpoint-500/training_state.json       step, place in the data, and every file's size and XXH64
//   RUN/latest                                   a link to the newest one
//   RUN/best                                 a link to the one that measured best (with --patience)
//
// A checkpoint is written beside its place and renamed when all of it is on the disk.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "formats/tensor_to_write.h"
#include "models/model.h"
#include "train/data_loader.h"
#include "train/optimizer.h"

namespace tessera::train {

struct TrainingState {
  std::int64_t step = 0;
  std::int64_t tokens = 0;  // seen so far
  std::uint64_t seed = 0;
  DataLoaderState data;
  double best_validation_loss = 0;  // 0: none yet
  std::int64_t best_step = 0;       // where that was measured
  std::int64_t measurements_since_best = 0;
  std::int64_t average_updates = 0;  // of the averaged weights; 0: there are none
};

// A file that a checkpoint holds besides what training changes. Its contents are kept: where it was read may
// be an older checkpoint, which goes.
struct CompanionFile {
  CompanionFile(std::string from, std::string as);  // Error io
  std::string path;
  std::string name;  // "config.json", "tokenizer.json"
  std::string contents;
};

// Writes what is trained into a folder: model.safetensors, or an adapter's files.
using WeightsWriter = std::function<void(const std::string& folder)>;
WeightsWriter weights_writer(const models::Model& model);

// Writes RUN/checkpoint-STEP, with the averaged weights if there are some, and returns its path. Error io:
// then there is nothing new under that name.
std::string write_checkpoint(const std::string& run_folder, const WeightsWriter& write,
                             std::vector<formats::TensorToWrite> optimizer_state, const TrainingState& state,
                             const std::vector<CompanionFile>& companions,
                             std::span<const models::Parameter> averages = {});
// Points RUN/best at the checkpoint of this step. Error io.
void mark_best_checkpoint(const std::string& run_folder, std::int64_t step);

// The newest checkpoint of `run_folder` whose files are all there with the sizes and checksums that it says;
// nullopt when there is none. `rejected` gets a line about each newer one that is not complete.
std::optional<std::string> newest_checkpoint(const std::string& run_folder,
                                             std::vector<std::string>* rejected = nullptr);
// Error bad_input naming file and key.
TrainingState read_training_state(const std::string& checkpoint);
// Fills the optimizer's memory, of its own slices. Error bad_input naming a tensor that is missing or has
// another shape.
void restore_optimizer(const std::string& checkpoint, Optimizer& optimizer, std::int64_t step);
// Removes all but the `keep` newest and the best, and what an interrupted write left behind.
void remove_old_checkpoints(const std::string& run_folder, std::int64_t keep);

}  // namespace tessera::train
