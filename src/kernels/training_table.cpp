#include "kernels/training_table.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/cpu/isa/training_isa.h"
#include "kernels/ref/training.h"

namespace tessera::kernels {
namespace {

TrainingTable make_table(Isa isa) {
  TrainingTable table = ref::make_training_table();
  table.isa = isa;
#if defined(__x86_64__)
  if (isa == Isa::avx2) avx2::fill_training(table);
  if (isa == Isa::avx512 || isa == Isa::amx) {
    avx512::fill_training(table);
    if (__builtin_cpu_supports("avx512bf16") != 0) avx512_bf16::fill_training(table);
  }
#endif
  return table;
}

}  // namespace

const TrainingTable& training_table(Isa isa) {
  const auto& isas = available_isas();
  if (std::find(isas.begin(), isas.end(), isa) == isas.end()) {
    fail(ErrorKind::bad_usage, "this CPU lacks {}", isa_name(isa));
  }
  switch (isa) {
    case Isa::avx2: {
      static const TrainingTable avx2 = make_table(Isa::avx2);
      return avx2;
    }
    case Isa::avx512: {
      static const TrainingTable avx512 = make_table(Isa::avx512);
      return avx512;
    }
    case Isa::amx: {
      static const TrainingTable amx = make_table(Isa::amx);
      return amx;
    }
    default: {
      static const TrainingTable scalar = make_table(Isa::scalar);
      return scalar;
    }
  }
}

const TrainingTable& active_training() {
  static const TrainingTable& selected = training_table(selected_isa());
  return selected;
}

}  // namespace tessera::kernels
