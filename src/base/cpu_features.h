// What this CPU can do, and which instruction set the kernels are to use.
#pragma once
#include <string_view>
#include <vector>

namespace tessera {

// Ordered from slowest to fastest on one architecture.
enum class Isa { scalar, neon, avx2, avx512, amx };

std::string_view isa_name(Isa isa);

// Everything this CPU and operating system can run, slowest first; scalar is always there.
// avx2 means AVX2 + FMA + F16C; avx512 means F, BW, DQ, VL and VNNI; amx adds tile, int8 and bf16, with the
// kernel's permission asked for and given.
const std::vector<Isa>& available_isas();

// The fastest available one, or what TESSERA_ISA (scalar|neon|avx2|avx512|amx) names.
// Error bad_usage: a name that is unknown or that this CPU lacks.
Isa selected_isa();

}  // namespace tessera
