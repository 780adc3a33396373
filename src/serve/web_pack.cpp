#include "serve/web_pack.h"

#include <cstddef>

// The assembler copies the file (GNU as, .incbin): a C array of a megabyte would take the compiler many
// seconds.
__asm__(
    ".pushsection .rodata\n"
    ".global tessera_web_pack_begin\n"
    ".hidden tessera_web_pack_begin\n"
    ".global tessera_web_pack_end\n"
    ".hidden tessera_web_pack_end\n"
    ".balign 16\n"
    "tessera_web_pack_begin:\n"
    ".incbin \"" TESSERA_WEB_PACK
    "\"\n"
    "tessera_web_pack_end:\n"
    ".byte 0\n"
    ".popsection\n");

extern "C" {
extern const char tessera_web_pack_begin[];
extern const char tessera_web_pack_end[];
}

namespace tessera::serve {

std::string_view embedded_web_pack() {
  return {tessera_web_pack_begin, static_cast<std::size_t>(tessera_web_pack_end - tessera_web_pack_begin)};
}

}  // namespace tessera::serve
