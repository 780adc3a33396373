// Working memory of a kernel: one buffer a thread, kept and grown, so that no kernel allocates in the steady
// state.
#pragma once
#include <cstdint>

namespace tessera::kernels {

// At least `floats` floats, aligned to 64 bytes, valid until this thread's next call. Contents are arbitrary.
float* thread_scratch(std::int64_t floats);

}  // namespace tessera::kernels
