#include "kernels/kernel_table.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/ref/ref.h"

namespace tessera::kernels {

const KernelTable& table(Isa isa) {
  const auto& isas = available_isas();
  if (std::find(isas.begin(), isas.end(), isa) == isas.end()) {
    fail(ErrorKind::bad_usage, "this CPU lacks {}", isa_name(isa));
  }
  static const KernelTable scalar = ref::make_table();
  return scalar;
}

const KernelTable& active() {
  static const KernelTable& selected = table(selected_isa());
  return selected;
}

}  // namespace tessera::kernels
