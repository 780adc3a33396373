// The kernels of linear attention of every ISA: the same loops, compiled once for each.
#pragma once
#include "kernels/linear_attention_table.h"

#define TESSERA_DECLARE_LINEAR_ATTENTION(isa)                      \
  namespace tessera::kernels::isa {                                \
  void linear_attention(const LinearAttentionArguments&);          \
  void linear_attention_gradient(const LinearAttentionArguments&); \
  }
TESSERA_DECLARE_LINEAR_ATTENTION(scalar)
TESSERA_DECLARE_LINEAR_ATTENTION(avx2)
TESSERA_DECLARE_LINEAR_ATTENTION(avx512)
TESSERA_DECLARE_LINEAR_ATTENTION(neon)
#undef TESSERA_DECLARE_LINEAR_ATTENTION
