// What this machine can do at best, measured: the yardsticks that `tessera bench` holds the model's speed
// against.
#pragma once
#include <cstddef>

namespace tessera::ops {

struct MachinePeak {
  double read_bytes_per_second = 0;  // all threads of the pool streaming through memory together
  double flops_per_second = 0;       // float32 multiply-adds (two flops each) of all threads in registers
  // Products of bytes added up in 32 bits (two operations each), likewise; 0 where kernels use none.
  double byte_ops_per_second = 0;
};

// Measures all on the pool's threads with the active kernels; takes about half a second. `bytes` is what
// is read in one sweep: several times the last-level cache, or the cache is measured instead.
MachinePeak measure_machine_peak(std::size_t bytes);

}  // namespace tessera::ops
