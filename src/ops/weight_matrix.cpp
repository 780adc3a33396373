#include "ops/weight_matrix.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <utility>
#include <vector>

#include "base/checked_size.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "kernels/kernel_table.h"

namespace tessera::ops {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
// What is not used of the last piece is address space, not memory.
constexpr std::size_t kPieceBytes = std::size_t{64} << 20;
constexpr std::size_t kAlignment = 64;

const kernels::PackedKernels& packed_kernels(DType dtype) {
  return kernels::active().packed[static_cast<std::size_t>(dtype)];
}

std::size_t rounded_up(std::size_t bytes, std::size_t unit) {
  return (CheckedSize(bytes, "packed weights") + (unit - 1)).value() / unit * unit;
}

}  // namespace

PackedMemory::Piece PackedMemory::take(std::size_t bytes) {
  bytes = rounded_up(bytes, kAlignment);
  if (chunk_ == nullptr || bytes > size_ - used_) {
    const std::size_t size = rounded_up(std::max(bytes, kPieceBytes), kHugePage);
    std::shared_ptr<void> memory(std::aligned_alloc(kHugePage, size), std::free);
    if (memory == nullptr) fail(ErrorKind::limit, "out of memory: {} bytes asked for", size);
    ::madvise(memory.get(), size, MADV_HUGEPAGE);  // advice: a kernel without huge pages declines
    memory_ = static_cast<std::byte*>(memory.get());
    chunk_ = Storage::borrow({memory_, size}, std::move(memory));
    size_ = size;
    used_ = 0;
  }
  const Piece piece{chunk_, used_, memory_ + used_};
  used_ += bytes;
  return piece;
}

WeightMatrix::WeightMatrix(Tensor stored) : data_(std::move(stored)) {
  if (!data_.defined()) return;
  if (data_.rank() != 2) {
    fail(ErrorKind::internal, "weights: expected a matrix, found {}", data_.shape().to_string());
  }
  dtype_ = data_.dtype();
  rows_ = data_.dim(0);
  columns_ = data_.dim(1);
}

bool WeightMatrix::can_pack(const Tensor& stored) {
  if (!stored.defined() || stored.rank() != 2 || stored.elements() == 0) return false;
  const kernels::PackedKernels& kernels = packed_kernels(stored.dtype());
  return kernels.linear != nullptr && stored.dim(1) % kernels.block_elements == 0;
}

WeightMatrix WeightMatrix::packed(const Tensor& stored, PackedMemory& memory) {
  if (!can_pack(stored)) {
    fail(ErrorKind::internal, "weights: no packed form for {} {}", name(stored.dtype()),
         stored.shape().to_string());
  }
  const kernels::PackedKernels& kernels = packed_kernels(stored.dtype());
  WeightMatrix matrix(stored);
  const std::int64_t panels = (matrix.rows_ + kernels::kPanelRows - 1) / kernels::kPanelRows;
  const auto blocks = static_cast<std::uint64_t>(matrix.columns_ / kernels.block_elements);
  const auto bytes =
      (CheckedSize(blocks, "packed weights") * static_cast<std::uint64_t>(kernels.panel_block_bytes) *
       static_cast<std::uint64_t>(panels))
          .value();
  const PackedMemory::Piece piece = memory.take(bytes);
  kernels::PackArguments arguments{
      .stored = stored.raw(), .packed = piece.bytes, .rows = matrix.rows_, .in_features = matrix.columns_};
  thread_pool().parallel_for(panels, 1, [&](std::int64_t begin, std::int64_t end) {
    kernels::PackArguments part = arguments;
    part.panel_begin = begin;
    part.panel_end = end;
    kernels.pack(part);
  });
  matrix.data_ = Tensor::view(piece.storage, piece.offset, {static_cast<std::int64_t>(bytes)}, DType::u8);
  matrix.packed_ = true;
  return matrix;
}

const Tensor& WeightMatrix::stored() const {
  if (packed_) fail(ErrorKind::internal, "weights: expected a matrix as stored, found a packed one");
  return data_;
}

WeightMatrix WeightMatrix::slice(std::int64_t begin, std::int64_t end) const {
  if (!packed_) return data_.rows(begin, end);
  if (begin < 0 || end < begin || end > rows_) {
    fail(ErrorKind::internal, "weights: rows [{}, {}) of {}", begin, end, rows_);
  }
  WeightMatrix part = *this;
  part.first_row_ += begin;
  part.rows_ = end - begin;
  return part;
}

Tensor widened(const WeightMatrix& matrix) {
  if (!matrix.is_packed() && matrix.dtype() == DType::f32) return matrix.stored();
  const auto type = static_cast<std::size_t>(matrix.dtype());
  const auto dequantize = kernels::active().dequantize[type];
  const auto unpack = packed_kernels(matrix.dtype()).unpack_row;
  if (dequantize == nullptr) fail(ErrorKind::internal, "weights: cannot widen {}", name(matrix.dtype()));
  const std::int64_t width = matrix.columns();
  const std::size_t bytes = row_bytes(matrix.dtype(), width);
  Tensor wide = Tensor::empty({matrix.rows(), width});
  float* target = wide.as_mutable<float>().data();
  thread_pool().parallel_for(matrix.rows(), 16, [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::byte> unpacked(matrix.is_packed() ? bytes : 0);
    for (std::int64_t row = begin; row < end; ++row) {
      const std::byte* stored = unpacked.data();
      if (matrix.is_packed()) {
        unpack(matrix.raw(), unpacked.data(), width, matrix.first_row() + row);
      } else {
        stored = matrix.raw() + static_cast<std::size_t>(row) * bytes;
      }
      dequantize(stored, target + row * width, width);
    }
  });
  return wide;
}

}  // namespace tessera::ops
