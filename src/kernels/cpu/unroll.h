// Compiler hints shared by the ISA-specific loops (macros only: nothing here may become a function that two
// ISAs share).
#pragma once

#define TESSERA_INLINE __attribute__((always_inline)) inline
#define TESSERA_LAMBDA __attribute__((always_inline))
#if defined(__clang__)
#define TESSERA_UNROLL _Pragma("clang loop unroll(full)")
#else
#define TESSERA_UNROLL _Pragma("GCC unroll 16")
#endif
