#include "base/cpu_features.h"

#include <cstdlib>
#include <string>

#include "base/error.h"

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace tessera {
namespace {

#if defined(__x86_64__)
// Tile state is 8 KiB a thread, so Linux hands it out only on request (ARCH_REQ_XCOMP_PERM,
// XFEATURE_XTILEDATA).
bool request_amx_permission() {
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023;
  constexpr long kTileData = 18;
  return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

bool cpu_has_amx() {
  // __builtin_cpu_supports does not know the amx names on g++ 12: CPUID leaf 7, EDX bits 22 (bf16), 24
  // (tile), 25 (int8).
  unsigned eax = 7;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  __asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
  constexpr unsigned kNeeded = (1U << 22) | (1U << 24) | (1U << 25);
  return (edx & kNeeded) == kNeeded;
}
#endif

std::vector<Isa> detect() {
  std::vector<Isa> found{Isa::scalar};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")) {
    found.push_back(Isa::avx2);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vnni")) {
      found.push_back(Isa::avx512);
      if (cpu_has_amx() && request_amx_permission()) found.push_back(Isa::amx);
    }
  }
#elif defined(__aarch64__)
  found.push_back(Isa::neon);
#endif
  return found;
}

}  // namespace

std::string_view isa_name(Isa isa) {
  switch (isa) {
    case Isa::scalar:
      return "scalar";
    case Isa::neon:
      return "neon";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
    case Isa::amx:
      return "amx";
  }
  return "unknown";
}

const std::vector<Isa>& available_isas() {
  static const std::vector<Isa> isas = detect();
  return isas;
}

Isa selected_isa() {
  const auto& isas = available_isas();
  const char* wanted = std::getenv("TESSERA_ISA");
  if (wanted == nullptr || *wanted == '\0') return isas.back();
  for (const Isa isa : isas) {
    if (isa_name(isa) == wanted) return isa;
  }
  std::string names;
  for (const Isa isa : isas) names += (names.empty() ? "" : ", ") + std::string(isa_name(isa));
  fail(ErrorKind::bad_usage, "TESSERA_ISA: expected one of {}, found '{}'", names, printable(wanted));
}

}  // namespace tessera
