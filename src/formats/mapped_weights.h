// The WeightSource of every format that is mapped from files: a table of tensors, each a window of one file.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "tensor/weight_source.h"

namespace tessera::formats {

// One tensor as a parser found it: checked to lie within its file.
struct FoundTensor {
  TensorInfo info;               // dtype is meaningless while `unsupported_type` is set
  std::string unsupported_type;  // "F8_E4M3", "IQ2_XXS": well-formed, but without kernels here
  std::size_t file_index = 0;    // into MappedWeights' files
};

class MappedWeights : public WeightSource {
 public:
  // What the sources differ in.
  struct Description {
    NamingScheme naming = NamingScheme::gguf;
    std::string origin;
    std::string architecture;
    Metadata metadata;
    // Other names of tensors (dropped → kept): tied weights are stored once.
    std::map<std::string, std::string, std::less<>> aliases;
  };
  // Error bad_input: two tensors of one name.
  MappedWeights(Description description, std::vector<std::shared_ptr<const MappedFile>> files,
                std::vector<FoundTensor> tensors);

  NamingScheme naming() const override { return description_.naming; }
  std::string_view architecture() const override { return description_.architecture; }
  const Metadata& metadata() const override { return description_.metadata; }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  const std::vector<UnsupportedTensor>& unsupported_tensors() const override { return unsupported_; }
  const std::string& origin() const override { return description_.origin; }
  // Also by alias. Error unsupported when the tensor is there with a type that cannot be run: it must not
  // pass for absent.
  const TensorInfo* find(std::string_view name) const override;
  // Maps without copying, except for a tensor that does not begin at a multiple of its element size
  // (safetensors allows that), which is copied. Error io when the file has been made shorter since it was
  // opened.
  Tensor load(std::string_view name) const override;
  void done_with(const Tensor& tensor) const override;

 private:
  void index_names();

  Description description_;
  std::vector<std::shared_ptr<const MappedFile>> files_;
  std::vector<std::shared_ptr<Storage>> storages_;  // one a file
  std::vector<TensorInfo> tensors_;
  std::vector<std::size_t> file_of_;            // of each tensor
  std::vector<std::size_t> by_name_;            // indices into tensors_, sorted by name
  std::vector<UnsupportedTensor> unsupported_;  // sorted by name
};

// Error bad_input when two of these windows of one file overlap; sorts `tensors` by file and offset.
void sort_and_check_overlap(std::vector<FoundTensor>& tensors);

}  // namespace tessera::formats
