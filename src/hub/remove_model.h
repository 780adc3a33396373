// Takes a model out of the models directory.
#pragma once
#include <filesystem>
#include <string_view>
#include <vector>

#include "hub/model_directory.h"

namespace tessera::hub {

// The model of exactly this name (or file name) in the models directory. Error io when there is none, also
// for one that lives in the Hugging Face cache, which is only read.
InstalledModel find_own_model(std::string_view name);

// Removes its files (all parts of a split one) and the record of its pull.
void remove_model(const InstalledModel& model);

}  // namespace tessera::hub
