// GET /api/status: everything that a page shows of the server on one look.
#pragma once
#include "serve/openai_api.h"
#include "serve/server_status.h"

namespace tessera::serve {

// {ready, model or null, progress or null, error or null, cache, running, waiting, version, defaults}.
// `served` is looked at only when the status is ready.
Json status_json(const ServerStatus& status, const ServedModel& served);

}  // namespace tessera::serve
