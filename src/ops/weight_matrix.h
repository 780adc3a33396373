// A matrix of weights as an operation reads it: the tensor that the file stores, or the same values packed
// into what this machine's kernels stream. Which of the two is the loader's choice; modules only hand it on.
#pragma once
#include <cstdint>
#include <memory>

#include "tensor/tensor.h"

namespace tessera::ops {

// Memory for packed matrices, handed out from large pieces that the kernel backs with huge pages where it
// can. A piece lives as long as a matrix in it.
class PackedMemory {
 public:
  // Uninitialised, aligned to 64 bytes; the bytes are set once, through the pointer. Error limit when memory
  // runs out.
  struct Piece {
    std::shared_ptr<Storage> storage;
    std::size_t offset = 0;
    std::byte* bytes = nullptr;
  };
  Piece take(std::size_t bytes);

 private:
  std::shared_ptr<Storage> chunk_;
  std::byte* memory_ = nullptr;
  std::size_t size_ = 0;
  std::size_t used_ = 0;
};

class WeightMatrix {
 public:
  WeightMatrix() = default;
  // As stored: [rows, columns]. Error internal for another rank.
  WeightMatrix(Tensor stored);  // NOLINT(google-explicit-constructor): a stored matrix is one

  // Whether the active kernels have a packed form for this matrix.
  static bool can_pack(const Tensor& stored);
  // The packed form of `stored`, made on all threads; every value is kept. Error internal unless can_pack().
  static WeightMatrix packed(const Tensor& stored, PackedMemory& memory);

  bool defined() const { return data_.defined(); }
  bool is_packed() const { return packed_; }
  std::int64_t rows() const { return rows_; }
  std::int64_t columns() const { return columns_; }
  DType dtype() const { return dtype_; }
  // The tensor as stored. Error internal when packed.
  const Tensor& stored() const;
  // Where its bytes lie, in either form; two matrices that share one hold one copy.
  const std::byte* raw() const { return data_.raw(); }
  // Packed: the row of the whole packed matrix that is row 0 of this one.
  std::int64_t first_row() const { return first_row_; }

  // Rows [begin, end), sharing memory.
  WeightMatrix slice(std::int64_t begin, std::int64_t end) const;

 private:
  Tensor data_;  // as stored, or bytes: the panels of the whole packed matrix
  bool packed_ = false;
  DType dtype_ = DType::f32;
  std::int64_t first_row_ = 0;
  std::int64_t rows_ = 0;
  std::int64_t columns_ = 0;
};

// Every value as float32 [rows, columns]: the stored tensor itself when it is F32, else a copy made on all
// threads (gradients that flow through quantised weights).
Tensor widened(const WeightMatrix& matrix);

}  // namespace tessera::ops
