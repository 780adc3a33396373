// Reads a tokenizer.json that is open already.
#pragma once
#include <memory>

#include "base/mapped_file.h"
#include "text/tokenizer.h"

namespace tessera::text {

// `config` (tokenizer_config.json) and `generation_config` may be null. Errors name the file, the key and the
// byte.
std::unique_ptr<Tokenizer> read_tokenizer_json(std::shared_ptr<const MappedFile> file,
                                               std::shared_ptr<const MappedFile> config = nullptr,
                                               std::shared_ptr<const MappedFile> generation_config = nullptr);

}  // namespace tessera::text
