// One tensor of a file that is being written: its place is fixed from shape and dtype, its bytes are made
// when their turn comes, so that a whole model never has to be in memory.
#pragma once
#include <functional>
#include <string>

#include "tensor/tensor.h"

namespace tessera::formats {

// Receives the parts of a file in order.
using ByteSink = std::function<void(std::span<const std::byte>)>;

struct TensorToWrite {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  std::function<Tensor()> make;  // called once while the file is written
};

// Sends the tensor's bytes to `sink`. Error internal when make() gives another dtype or shape than announced.
void write_tensor_bytes(const TensorToWrite& tensor, const ByteSink& sink);

// Sends `count` times `byte`.
void write_padding(std::uint64_t count, std::byte byte, const ByteSink& sink);

// Runs write(sink) into `path`, which appears complete or not at all. Error io.
void write_through_sink(const std::string& path, const std::function<void(const ByteSink&)>& write);

}  // namespace tessera::formats
