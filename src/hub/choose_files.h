// Which files of a repository make one model.
#pragma once
#include <string>
#include <vector>

#include "hub/file_list.h"

namespace tessera::hub {

struct ChosenFiles {
  std::vector<HubFile> files;  // split GGUF: all parts, in order
  bool is_folder = false;      // a Hugging Face folder rather than GGUF
  std::string name;            // of the file (its first part) or the folder, without a path
};

// GGUF files before safetensors. With a quantisation, the GGUF file of that name ("safetensors" asks for the
// folder); without, Q4_K_M, Q8_0 and so on by preference. Error bad_usage: no such quantisation (names those
// there are); unsupported: neither GGUF nor safetensors (names what was found).
ChosenFiles choose_files(const std::vector<HubFile>& files, const ModelReference& reference);

}  // namespace tessera::hub
