// Texts that a model writes while it is being trained: what the trainer asks for and the engine can do.
#pragma once
#include <functional>
#include <string>

#include "train/training_run.h"

namespace tessera::cli {

// For TrainingEvents::continue_text: goes on from the request's prompt with the weights as they are. Opens
// the tokenizer at the first call and keeps it. Error bad_usage when the prompt gives no token or leaves no
// room.
std::function<std::string(const train::SampleRequest&)> training_sampler();

}  // namespace tessera::cli
