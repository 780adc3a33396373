// What the backend counts, under the names of /metrics. For .cpp files of this room only.
#pragma once
#include <vector>

#include "serve/backend.h"
#include "serve/metrics.h"

namespace tessera::serve {

std::vector<Gauge> backend_gauges(const BackendStatistics& now);

}  // namespace tessera::serve
