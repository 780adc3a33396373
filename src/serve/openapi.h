// The server's description of itself (OpenAPI 3.1), made from the routes it answers from.
#pragma once
#include "serve/json_fields.h"
#include "serve/route_table.h"

namespace tessera::serve {

Json openapi_json(const RouteTable& routes);

}  // namespace tessera::serve
