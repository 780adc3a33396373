// Writes safetensors files whose tensors all begin at multiples of their element size.
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "formats/tensor_to_write.h"

namespace tessera::formats {

class SafetensorsWriter {
 public:
  // An entry of __metadata__; the last value of a key counts.
  void set_metadata(std::string key, std::string value) { metadata_[std::move(key)] = std::move(value); }
  // Error unsupported: a dtype safetensors does not have (quantised blocks); bad_usage: a name twice or
  // reserved.
  void add_tensor(std::string name, const Tensor& tensor);
  void add_tensor(TensorToWrite tensor);

  // Error io. The file is there completely or not at all.
  void write(const std::string& path) const;
  // The same bytes in memory, for tests.
  std::string bytes() const;

 private:
  // Wide elements first, so that every tensor is aligned without holes, which the format does not allow.
  std::vector<const TensorToWrite*> in_file_order() const;
  void send(const ByteSink& sink) const;

  std::map<std::string, std::string> metadata_;
  std::vector<TensorToWrite> tensors_;
  std::set<std::string, std::less<>> names_;
};

}  // namespace tessera::formats
