#include "kernels/linear_attention_table.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/cpu/isa/linear_attention_isa.h"

namespace tessera::kernels {

const LinearAttentionTable& linear_attention_table(Isa isa) {
  static const LinearAttentionTable scalar = {Isa::scalar, scalar::linear_attention,
                                              scalar::linear_attention_gradient};
  const auto& isas = available_isas();
  if (std::find(isas.begin(), isas.end(), isa) == isas.end()) {
    fail(ErrorKind::bad_usage, "this CPU lacks {}", isa_name(isa));
  }
#if defined(__x86_64__)
  static const LinearAttentionTable avx2 = {Isa::avx2, avx2::linear_attention,
                                            avx2::linear_attention_gradient};
  static const LinearAttentionTable avx512 = {Isa::avx512, avx512::linear_attention,
                                              avx512::linear_attention_gradient};
  if (isa == Isa::avx2) return avx2;
  if (isa == Isa::avx512 || isa == Isa::amx) return avx512;
#elif defined(__aarch64__)
  static const LinearAttentionTable neon = {Isa::neon, neon::linear_attention,
                                            neon::linear_attention_gradient};
  if (isa == Isa::neon) return neon;
#endif
  return scalar;
}

const LinearAttentionTable& active_linear_attention() {
  static const LinearAttentionTable& selected = linear_attention_table(selected_isa());
  return selected;
}

}  // namespace tessera::kernels
