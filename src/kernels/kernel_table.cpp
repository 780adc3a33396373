#include "kernels/kernel_table.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/cpu/isa/isa.h"
#include "kernels/ref/ref.h"

namespace tessera::kernels {
namespace {

const KernelTable& scalar_table() {
  static const KernelTable table = ref::make_table();
  return table;
}

#if defined(__x86_64__)
const KernelTable& avx2_table() {
  static const KernelTable table = [] {
    KernelTable made = ref::make_table();
    made.isa = Isa::avx2;
    avx2::fill_linear(made);
    avx2::fill_packed(made);
    avx2::fill_packed_k_quants(made);
    avx2::fill_packed_floats(made);
    avx2::fill_k_quants(made);
    avx2::fill_elementwise(made);
    avx2::fill_attention(made);
    return made;
  }();
  return table;
}

KernelTable make_avx512_table(Isa isa) {
  KernelTable made = ref::make_table();
  made.isa = isa;
  avx512::fill_linear(made);
  avx512::fill_packed(made);
  avx512::fill_packed_k_quants(made);
  avx512::fill_packed_floats(made);
  avx512::fill_k_quants(made);
  avx512::fill_elementwise(made);
  avx512::fill_attention(made);
  return made;
}

const KernelTable& avx512_table() {
  static const KernelTable table = make_avx512_table(Isa::avx512);
  return table;
}

// What tiles do not do, a CPU with AMX does with AVX-512.
const KernelTable& amx_table() {
  static const KernelTable table = [] {
    KernelTable made = make_avx512_table(Isa::amx);
    amx::fill_packed(made);
    amx::fill_attention(made);
    return made;
  }();
  return table;
}
#endif

#if defined(__aarch64__)
const KernelTable& neon_table() {
  static const KernelTable table = [] {
    KernelTable made = ref::make_table();
    made.isa = Isa::neon;
    neon::fill_linear(made);
    neon::fill_packed(made);
    neon::fill_packed_k_quants(made);
    neon::fill_packed_floats(made);
    neon::fill_k_quants(made);
    neon::fill_elementwise(made);
    neon::fill_attention(made);
    return made;
  }();
  return table;
}
#endif

}  // namespace

const KernelTable& table(Isa isa) {
  const auto& isas = available_isas();
  if (std::find(isas.begin(), isas.end(), isa) == isas.end()) {
    fail(ErrorKind::bad_usage, "this CPU lacks {}", isa_name(isa));
  }
  switch (isa) {
#if defined(__x86_64__)
    case Isa::avx2:
      return avx2_table();
    case Isa::avx512:
      return avx512_table();
    case Isa::amx:
      return amx_table();
#elif defined(__aarch64__)
    case Isa::neon:
      return neon_table();
#endif
    default:
      return scalar_table();
  }
}

const KernelTable& active() {
  static const KernelTable& selected = table(selected_isa());
  return selected;
}

}  // namespace tessera::kernels
