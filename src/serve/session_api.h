// The page's own interface to stored sessions: list, read, change, search, export, import. See
// docs/sessions.md.
#pragma once
#include <functional>
#include <memory>

#include "serve/api_error.h"
#include "serve/route_table.h"
#include "serve/store_workers.h"

namespace tessera::serve {

// The owner of sessions that come with a request of this client (HttpRequest::client): without keys the
// owner of the terminal's, so that both share them.
std::string session_owner(const std::string& client);

// Errors of the store's disk are 500 storage_failed.
ApiError store_error(const Error& error);
// Runs `call` now; what it throws becomes the answer.
void answer_safely(Exchange& exchange, const std::function<void()>& call);

// Adds the routes under /api that need no model. `workers` must outlive the table.
void add_session_routes(RouteTable& routes, StoreWorkers& workers);

}  // namespace tessera::serve
